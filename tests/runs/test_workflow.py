"""A whole run, what it leaves behind, and what is done with it."""

import csv
import errno
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import tlkit
import tlkit.errors
import tlkit.train.interrupt
from tests.cli.test_cli import tlkit as command
from tests.conftest import draw
from tlkit.errors import RunError, RunFailed
from tlkit.tasks.classification import Classification

FILES = {"recipe.yaml", "resolved.yaml", "environment.json", "data.json", "metrics.csv", "tensorboard",
         "checkpoints", "model.keras", "labels.txt", "task.json", "predictions.csv", "result.json", "report.html",
         "export", "plots", ".lock", "examples", "images.csv"}  # fmt: skip


@pytest.fixture(scope="session")
def run(photos, tmp_path_factory):
    recipe = {
        "name": "colours",
        "data": {"source": {"folder": str(photos)}, "image_size": 32, "batch_size": 8},
        "augment": ["flip"],
        "model": {"backbone": "tiny", "weights": "bundled"},
        "finetune": {
            "stages": [
                {"policy": "head-only", "epochs": 5, "optimizer": {"adam": 1e-2}},
                {"policy": "full", "epochs": 2},
            ]
        },
    }
    return tlkit.finetune(recipe, run_dir=tmp_path_factory.mktemp("runs") / "run")


def test_the_run_folder_is_complete(run):
    assert {path.name for path in run.folder.iterdir()} == FILES
    plots = {path.name for path in (run.folder / "plots").iterdir()}
    assert plots == {
        "curves.png", "confusion_matrix.png", "calibration.png", "classes.png", "train_images.png"
    }  # fmt: skip


def test_result_json_is_the_contract(run):
    result = json.loads((run.folder / "result.json").read_text())
    assert result["status"] == "done"
    assert [stage["policy"] for stage in result["stages"]] == ["head-only", "full"]
    for key in (
        "name",
        "policy",
        "epochs",
        "seconds",
        "images_per_second",
        "best_epoch",
        "metrics",
    ):
        assert key in result["stages"][0]
    assert set(result["seconds"]) == {
        "import",
        "data",
        "features",
        "train",
        "evaluate",
        "export",
        "total",
    }
    assert result["best"]["val_accuracy"] > 0.9  # colours are easy
    assert result["test"] is None
    assert result["peak_memory_mb"] > 100


def test_predictions_agree_with_the_result(run):
    with open(run.folder / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(run.result["evaluation"]["accuracy"])
    for row in rows:
        assert sum(float(row[f"p:{name}"]) for name in ("blue", "green", "red")) == pytest.approx(
            1, abs=1e-5
        )


def test_the_report_shows_what_happened_in_one_file(run):
    page = (run.folder / "report.html").read_text()
    for text in (
        "Confusion matrix",
        "Curves",
        "val accuracy",
        "backbone: tiny",
        "data:image/png;base64",
    ):
        assert text in page
    assert "src='plots" not in page


def test_the_saved_model_serves_bytes_floats_and_uint8_without_keras(run, photos, tmp_path):
    code = """
import sys
sys.modules['keras'] = None; sys.modules['tlkit'] = None
import numpy as np, tensorflow as tf
folder, picture, out = sys.argv[1:]
model = tf.saved_model.load(folder)
signatures = {'serving_default', 'serve_uint8', 'serve_bytes', 'features', 'explain'}
assert set(model.signatures) == signatures, set(model.signatures)
data = open(picture, 'rb').read()
image = tf.io.decode_png(data, channels=3)[None]
answers = [
    model.signatures['serve_bytes'](image_bytes=tf.constant([data, data])),
    model.signatures['serve_uint8'](images=image),
    model.signatures['serving_default'](images=tf.cast(image, tf.float32)),
]
np.savez(out, *[a['probabilities'].numpy()[0] for a in answers])
print(answers[0]['label'].numpy()[0].decode(), int(answers[0]['label_id'][0]), answers[0]['label_id'].dtype.name)
"""
    picture = photos / "green" / "3.png"
    done = subprocess.run(
        [sys.executable, "-c", code, run.folder / "export/saved_model/1", picture, tmp_path / "a.npz"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["green", "1", "int64"], done.stderr[-2000:]
    with np.load(tmp_path / "a.npz") as file:
        a, b, c = (file[name] for name in file.files)
    np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(a, c, atol=1e-5)


def test_the_export_is_refused_if_it_answers_otherwise(run):
    from tlkit.data.dataset import Split
    from tlkit.data.record import Record
    from tlkit.export.parity import check_export
    from tlkit.export.served import Proof
    from tlkit.recipe.schema import Component

    data = (run.folder / "plots" / "classes.png").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    split = Split([Record("x", "", None, lambda: data)], np.array([0]), [digest])
    proof = Proof(Classification(["a", "b", "c"]), split, None, np.array([[0.1, 0.1, 0.8]]))
    with pytest.raises(RunFailed, match="is not what was evaluated"):
        check_export(run.folder / "export/saved_model/1", Component("saved_model"), proof)


def test_model_keras_loads_with_keras_alone(run, tmp_path):
    code = "import sys; sys.modules['tlkit'] = None; import keras; "
    code += "m = keras.models.load_model(sys.argv[1]); print(m.output_shape)"
    done = subprocess.run(
        [sys.executable, "-c", code, run.folder / "model.keras"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(None, 3)", done.stderr[-2000:]


def test_evaluate_matches_classes_by_name(run, tmp_path):
    for kind, name in ((2, "blue"), (0, "red")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(8):
            draw(kind, 500 + index).save(tmp_path / "data" / name / f"{index}.png")
    done = command("evaluate", run.folder, tmp_path / "data", "-o", tmp_path / "out")
    assert "no image of: green" in done.stdout
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["images"] == 16
    assert figures["accuracy"] > 0.9
    (tmp_path / "data" / "purple").mkdir()
    draw(1, 9).save(tmp_path / "data" / "purple" / "x.png")
    assert (
        "does not know: purple" in command("evaluate", run.folder, tmp_path / "data", code=2).stderr
    )


def test_predict_labels_files_and_folders_and_reports_broken_ones(run, photos, tmp_path):
    (tmp_path / "bad.png").write_text("no")
    done = command("predict", run.folder, photos / "red", tmp_path / "bad.png", "--top", "2")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 21
    # nothing of TensorFlow's own beside it
    assert done.stderr == "1 files could not be read; see the column error\n"
    assert sum(row["label_1"] == "red" for row in rows) >= 18
    assert rows[-1]["error"] == "is text, not a picture"
    assert float(rows[0]["probability_1"]) >= float(rows[0]["probability_2"])
    command(
        "predict", run.folder, photos / "red" / "0.png", "--format", "jsonl", "-o", tmp_path / "o"
    )
    assert json.loads((tmp_path / "o").read_text())["label"] == "red"
    assert "no such file" in command("predict", run.folder, tmp_path / "gone", code=2).stderr


def test_export_writes_again_and_proves_it(run, tmp_path):
    done = command("export", run.folder, "-o", tmp_path / "again")
    assert "100.0 % of the labels as evaluated" in done.stdout
    assert (tmp_path / "again" / "saved_model" / "1" / "saved_model.pb").exists()
    assert (
        "is not an export format"
        in command("export", run.folder, "--format", "savedmodel", code=2).stderr
    )


def test_plan_shows_what_trains_and_leaves_nothing(run, tmp_path):
    done = command("plan", run.folder / "resolved.yaml", cwd=tmp_path)
    assert "stage 2: full" in done.stdout
    assert "690,771 of 690,771 parameters train" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_or_full_or_finished_is_refused(run, recipe, tmp_path):
    with pytest.raises(RunError, match="is not empty"):
        tlkit.finetune(recipe, run_dir=run.folder)
    with pytest.raises(RunError, match="is finished"):
        tlkit.resume(run.folder)
    with pytest.raises(RunError, match="no such run folder"):
        tlkit.resume(tmp_path / "gone")
    from tlkit.runs.folder import locked

    with locked(run.folder), pytest.raises(RunError, match="is in use"), locked(run.folder):
        pass


def test_a_full_disk_is_told_before_the_work(recipe, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(tlkit.errors.UserError, match="only 1 MB are free"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


def test_a_run_that_the_disk_ends_says_so_in_its_folder(recipe, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "/photos/x.png")

    monkeypatch.setattr("tlkit.steps.read_data", refused)
    with pytest.raises(RunFailed, match=r"^/photos/x\.png: Permission denied\. .*start again"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert "Permission denied" in result["error"]
    monkeypatch.undo()
    tlkit.finetune(recipe, run_dir=tmp_path / "run")  # its folder may be used again


def test_where_not_even_that_can_be_written_the_first_error_is_told(recipe, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tlkit.steps.read_data", full)
    monkeypatch.setattr("tlkit.runs.folder.write_json", full)
    with pytest.raises(RunFailed, match="the disk is full"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


def test_a_run_that_fails_says_so_in_its_folder(recipe, tmp_path):
    stage = {"policy": "full", "optimizer": {"sgd": 100}, "schedule": "constant", "epochs": 3,
             "rate_multipliers": {".": 1e6}}  # fmt: skip
    recipe["finetune"]["stages"] = [stage]
    with pytest.raises(RunFailed, match="the loss became"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"


def test_a_folder_whose_run_failed_before_training_is_used_again(recipe, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    recipe["data"]["source"] = {"folder": str(tmp_path / "empty")}
    with pytest.raises(tlkit.errors.UserError, match="no class folders"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"
    recipe["data"]["source"] = {"folder": str(photos)}
    assert tlkit.finetune(recipe, run_dir=tmp_path / "run").result["status"] == "done"


def test_a_run_is_not_continued_on_other_images(recipe, tmp_path, monkeypatch):
    from tests.train.test_loop import StopAt

    for kind, name in enumerate(("a", "b")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(20):
            draw(kind, index).save(tmp_path / "data" / name / f"{index}.png")
    recipe["data"]["source"] = {"folder": str(tmp_path / "data")}
    with monkeypatch.context() as patch:
        StopAt(patch, 2)
        with pytest.raises(tlkit.train.interrupt.Interrupted):
            tlkit.finetune(recipe, run_dir=tmp_path / "run")
    draw(0, 99).save(tmp_path / "data" / "a" / "new.png")
    with pytest.raises(RunError, match=r"images have changed since: 1 added"):
        tlkit.resume(tmp_path / "run")


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(photos, tmp_path):
    import os
    import signal
    import time

    from tests.conftest import ROOT

    (tmp_path / "r.yaml").write_text(
        f"data: {{source: {{folder: {photos}}}, image_size: 32}}\nmodel: {{backbone: tiny}}\n"
        "augment: [flip]\nexport: []\n"
        "finetune: {stages: [{policy: head-only, epochs: 5000}]}\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "finetune", "r.yaml", "--run-dir", "run"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # a shell that runs the tests in the background lets them ignore Ctrl-C, and their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for _ in range(600):
        if (tmp_path / "run" / "checkpoints" / "state.npz").exists():
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 130
    assert "tlkit finetune --resume run" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("head", ["nearest-mean", {"knn": {"k": 5}}], ids=str)
def test_stored_features_make_a_classifier_without_training(recipe, tmp_path, head):
    recipe["model"] = {"backbone": "tiny", "head": head}
    recipe["export"] = ["saved_model"]
    recipe["finetune"]["stages"] = [{"policy": "predict-only"}]
    result = tlkit.finetune(recipe, run_dir=tmp_path / "run").result
    assert result["evaluation"]["accuracy"] > 0.9
    assert result["stages"][0]["epochs"] == 0
    assert result["stages"][0]["features"]["images"] == 60
    assert result["seconds"]["features"] > 0


OFFLINE = ("head-only", "full", "staged", "partial", "far-domain", "noisy", "nearest-mean")


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFLINE)
def test_every_packaged_recipe_runs_with_a_small_network(name, photos, tmp_path):
    overrides = [f"data.source.folder={photos}", "data.image_size=32", "data.batch_size=16",
                 "model.weights=none", "export=[]"]  # fmt: skip
    names_blocks = name in ("partial", "noisy")
    overrides.append("model.arguments={alpha: 0.35}" if names_blocks else "model.backbone=tiny")
    if names_blocks:  # so deep without weights, two epochs leave nothing of the image in its answer
        overrides.append("finetune.guard=false")
    from tlkit.recipe.load import load_recipe

    for index, stage in enumerate(load_recipe(name).finetune.stages):
        if stage.policy.name != "predict-only":
            overrides += [f"finetune.stages.{index}.epochs=2"]
    result = tlkit.finetune(name, overrides, tmp_path / "run").result
    assert result["status"] == "done"


@pytest.mark.slow
def test_the_quickstart_reaches_what_the_readme_says(tmp_path):
    result = tlkit.finetune("quickstart", run_dir=tmp_path / "run").result
    assert result["best"]["val_accuracy"] >= 0.97
    assert result["export"]["saved_model"]["parity"]["labels_equal"]


def test_the_tfds_recipe_runs_on_a_prepared_data_set(tmp_path, prepared):
    overrides = ["data.source.tfds.name=colours", f"data.source.tfds.data_dir={prepared}",
                 "data.image_size=32", "model.backbone=tiny", "model.weights=none", "export=[]",
                 "finetune.stages.0.epochs=1", "finetune.stages.1.epochs=1",
                 "finetune.stages.1.schedule=constant"]  # fmt: skip
    result = tlkit.finetune("tf_flowers", overrides, tmp_path / "run").result
    assert result["classes"] == 3


@pytest.mark.assets
@pytest.mark.slow
def test_predict_only_labels_real_ants_and_bees(assets, tmp_path):
    overrides = [f"data.source.folder={assets / 'data' / 'hymenoptera'}", "export=[]",
                 f"model.weights={assets / 'weights' / 'mobilenet_v2_1.0_224.weights.h5'}"]  # fmt: skip
    result = tlkit.finetune("predict-only", overrides, tmp_path / "run").result
    assert (
        result["evaluation"]["accuracy"] >= 0.75
    )  # of 1000 classes; the weights' own card says 0.82


@pytest.mark.assets
@pytest.mark.slow
def test_head_only_on_real_photos_and_weights(assets, tmp_path):
    overrides = [f"data.source.folder={assets / 'data' / 'hymenoptera'}", "augment=[]",
                 f"model.weights={assets / 'weights' / 'mobilenet_v2_1.0_224_no_top.weights.h5'}"]  # fmt: skip
    result = tlkit.finetune("head-only", overrides, tmp_path / "run").result
    assert result["best"]["val_accuracy"] >= 0.94
    assert result["export"]["saved_model"]["parity"]["largest_difference"] < 1e-4
