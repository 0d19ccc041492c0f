import json
import os
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

BLOCKED = "import sys; sys.modules['tensorflow'] = None; sys.modules['keras'] = None\n"


def tlkit(*arguments, cwd=None, block=False, code=0):
    """Runs the command line in a process of its own."""
    program = (BLOCKED if block else "") + "from tlkit.cli.main import main; main()"
    given = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}  # as users have it
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd or ROOT,
        env={**given, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run


COMMANDS = ("finetune", "validate", "plan", "init", "recipes", "backbones", "evaluate", "predict",
            "export", "schema", "ls", "cp", "rank", "cache")  # fmt: skip


def test_standard_error_is_python_s_alone_but_for_what_stops_it():
    """A C library's own words are not shown; ours are, and what a crash was in."""
    program = ("import faulthandler, os, sys; from tlkit.cli import main; main._speak_alone({}); "
               "os.write(2, b'Corrupt JPEG data\\n'); print('ours', file=sys.stderr); os.abort()")  # fmt: skip
    for debug in (False, True):
        run = subprocess.run(
            [sys.executable, "-c", program.format(debug)],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == -6 and "ours\n" in run.stderr
        assert ("Corrupt JPEG data" in run.stderr) == debug
        assert ("Fatal Python error: Aborted" in run.stderr) != debug


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_needs_no_tensorflow(command):
    assert f"tlkit {command}" in tlkit(command, "--help", block=True).stdout.replace(
        "-c ", "tlkit "
    )


def test_importing_the_commands_imports_neither_tensorflow_nor_pydantic():
    code = "import sys, tlkit.cli.main; print([m for m in sys.modules if m.split('.')[0] in "
    code += "('tensorflow', 'keras', 'numpy', 'pydantic', 'ruamel', 'rich', 'matplotlib')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


def test_validate_needs_no_tensorflow_and_mentions_evaluate():
    run = tlkit("validate", "quickstart", block=True)
    assert "quickstart is valid" in run.stdout
    assert "tlkit evaluate" in run.stdout


def test_validate_prints_the_whole_recipe():
    run = tlkit("validate", "--print", "quickstart", "finetune.stages.1.epochs=4", block=True)
    assert "epochs: 4" in run.stdout
    assert "warmup_epochs: 1.0" in run.stdout


def test_wrong_input_ends_with_code_2_and_every_problem(tmp_path):
    (tmp_path / "r.yaml").write_text("nme: x\ndata: {source: {folder: x}, imgsz: 3}\n")
    run = tlkit("validate", "r.yaml", cwd=tmp_path, block=True, code=2)
    assert "r.yaml:1:1" in run.stderr
    assert "r.yaml:2:29" in run.stderr
    assert "4 problems" in run.stderr


def test_validate_of_a_missing_folder_names_it(tmp_path):
    run = tlkit("validate", "quickstart", "data.source.tfrecord.train=gone/x", cwd=tmp_path, code=2)
    assert f"{tmp_path}/gone/x: data.source.tfrecord.train: not found" in run.stderr


def test_validate_of_a_model_says_that_evaluate_is_meant(tmp_path):
    run = tlkit("validate", tmp_path / "model.keras", code=2)
    assert "tlkit evaluate" in run.stderr


def test_an_unknown_command_is_suggested():
    assert "Did you mean 'finetune'" in tlkit("finetun", code=2).stderr


def test_recipes_are_listed_shown_and_copied_with_their_data(tmp_path):
    listed = tlkit("ls", block=True).stdout
    for name in ("quickstart", "head-only", "full", "staged", "predict-only", "nearest-mean"):
        assert name in listed
    assert "backbone: tiny" in tlkit("recipes", "show", "quickstart", block=True).stdout
    tlkit("cp", "quickstart", tmp_path / "new" / "q.yaml", "--make-parents", block=True)
    assert {f.name for f in (tmp_path / "new").iterdir()} == {
        "q.yaml",
        "digits.tfrecord",
        "recipe.schema.json",
    }
    tlkit("validate", tmp_path / "new" / "q.yaml", block=True)
    assert "exists already" in tlkit("cp", "quickstart", tmp_path / "new" / "q.yaml", code=2).stderr
    tlkit("recipes", "cp", "-n", "quickstart", tmp_path / "new" / "q.yaml")


def test_backbones_lists_all_forty_applications_and_tiny():
    lines = tlkit("backbones", block=True).stdout.splitlines()
    assert len(lines) == 1 + 41
    rows = json.loads(tlkit("backbones", "--json", block=True).stdout)
    assert {row["name"] for row in rows} >= {"tiny", "convnext_xlarge", "vgg16", "nasnet_mobile"}
    assert "Did you mean 'resnet50'" in tlkit("backbones", "resnet5", code=2).stderr


def test_init_writes_a_recipe_that_is_right(photos, tmp_path):
    run = tlkit("init", photos, "-o", "mine.yaml", cwd=tmp_path)
    assert "next: tlkit finetune mine.yaml" in run.stdout
    text = (tmp_path / "mine.yaml").read_text()
    assert "60 images, 3 classes" in text
    tlkit("validate", "mine.yaml", cwd=tmp_path, block=True)
    assert "exists already" in tlkit("init", photos, "-o", "mine.yaml", cwd=tmp_path, code=2).stderr


def test_init_of_nothing_says_so(tmp_path):
    assert "no such folder" in tlkit("init", tmp_path / "gone", code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "no class folders" in tlkit("init", tmp_path / "empty", code=2).stderr


def test_schema_is_json_with_descriptions():
    schema = json.loads(tlkit("schema", block=True).stdout)
    assert schema["properties"]["finetune"]
    assert "data" in schema["required"]
    assert "name" not in schema["required"]


def test_an_unprepared_tfds_is_refused_at_once_with_the_command(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "data: {source: {tfds: {name: tf_flowers, data_dir: none}}}\n"
        "model: {backbone: tiny}\nfinetune: {stages: [{policy: head-only}]}\n"
    )
    start = time.perf_counter()
    run = tlkit("finetune", "r.yaml", "--run-dir", "run", cwd=tmp_path, code=2)
    assert "tfds build tf_flowers --data_dir" in run.stderr
    assert time.perf_counter() - start < 60  # no hang; the time itself is in docs/results.md
