"""Runs side by side, run again, and continued on other images."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binom

import tlkit
from tests.conftest import draw
from tlkit.cli.main import cli
from tlkit.errors import RecipeError, RunError, WeightsError
from tlkit.recipe.load import load_recipe
from tlkit.runs import compare, workflow
from tlkit.runs.folder import changed_images
from tlkit.tasks.classification.mcnemar import mcnemar
from tlkit.train.interrupt import Interrupted
from tlkit.train.loop import StageLoop


@pytest.fixture(scope="module")
def two(tmp_path_factory, photos):
    """Two runs that differ in seed and epochs."""
    folder = tmp_path_factory.mktemp("two")
    found = []
    for seed, epochs in ((0, 1), (1, 3)):
        recipe = {
            "name": "test", "seed": seed, "deterministic": True,
            "data": {"source": {"folder": str(photos)}, "image_size": 32, "batch_size": 8},
            "model": {"backbone": "tiny", "weights": "bundled"},
            "finetune": {"stages": [{"policy": "head-only", "epochs": epochs}]},
            "export": [],
        }  # fmt: skip
        found.append(tlkit.finetune(recipe, run_dir=folder / f"run{seed}").folder)
    return found


def test_mcnemar_is_the_binomial_test_of_what_one_alone_has_right():
    rng = np.random.default_rng(0)
    first = dict(enumerate(rng.random(200) < 0.9))
    second = dict(enumerate(rng.random(200) < 0.8))
    found = mcnemar(first, second)
    b = sum(first[k] and not second[k] for k in first)
    c = sum(second[k] and not first[k] for k in first)
    assert (found.images, found.only_first, found.only_second) == (200, b, c)
    tail = binom.cdf(min(b, c), b + c, 0.5)
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    # the example of Dietterich's paper's kind: 10 against 1
    one = {k: k < 10 for k in range(11)}
    assert mcnemar(one, {k: not v for k, v in one.items()}).p == pytest.approx(0.01171875)
    assert mcnemar(one, one).p == 1.0


def test_pictures_of_one_name_and_other_content_are_not_compared(two, tmp_path):
    other = shutil.copytree(two[1], tmp_path / "other")
    rows = (other / "images.csv").read_text().splitlines()
    judged = [line for line in rows if line.startswith("val,")]
    changed = judged[0][:-4] + ("0000" if not judged[0].endswith("0000") else "1111")
    (other / "images.csv").write_text("\n".join(rows).replace(judged[0], changed) + "\n")
    first, second = (compare.read_compared(folder) for folder in (two[0], other))
    assert mcnemar(first.judged, second.judged).images == len(judged) - 1


def test_only_what_differs_in_the_recipes_is_shown(two):
    compared = [compare.read_compared(folder) for folder in two]
    assert compare.differences(compared) == [
        ("seed", [0, 1]), ("finetune.stages.0.epochs", [1, 3])
    ]  # fmt: skip


def test_the_command_writes_a_table_and_a_page(two, tmp_path):
    page = tmp_path / "c.html"
    told = CliRunner().invoke(cli, ["compare", *map(str, two), "-o", str(page)])
    assert told.exit_code == 0, told.output
    assert "finetune.stages.0.epochs: A 1  B 3" in told.output
    assert "McNemar's p" in told.output
    text = page.read_text()
    assert text.count("data:image/png") == 1
    assert not page.with_suffix(".png").exists()
    assert CliRunner().invoke(cli, ["compare", str(two[0])]).exit_code == 2


def test_a_run_that_did_not_end_cannot_be_compared(two, tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        compare.read_compared(tmp_path / "nowhere")


def test_run_again_nothing_differs(two, tmp_path):
    told = CliRunner().invoke(
        cli, ["reproduce", str(two[0]), "--run-dir", str(tmp_path / "again"), "-q"]
    )
    assert (told.exit_code, told.output) == (0, "bit-identical\n")


def test_what_differs_is_named(two, tmp_path):
    shutil.copytree(two[0], tmp_path / "changed")
    environment = tmp_path / "changed" / "environment.json"
    told = json.loads(environment.read_text())
    told["packages"]["keras"] = "1.0"
    environment.write_text(json.dumps(told))
    found = compare.same_numbers(tmp_path / "changed", two[1])
    assert any(line.startswith("environment packages.keras: 1.0 before") for line in found)
    assert any(line.startswith("metrics.csv: ") for line in found)
    assert any(line.startswith("weights: largest difference") for line in found)


def test_what_changed_among_images_is_named():
    before = "split,image,label,sha256\ntrain,a,x,1\ntrain,b,x,2\nval,c,y,3\nval,d,y,4\n"
    now = "split,image,label,sha256\ntrain,a,x,1\ntrain,b,x,9\nval,c,x,3\nval,e,y,4\n"
    assert changed_images(before, now) == [
        "1 added (e)", "1 removed (d)", "1 changed (b)", "1 labelled otherwise (c)"
    ]  # fmt: skip


def test_on_changed_images_a_run_goes_on_only_if_that_is_allowed(
    recipe, photos, tmp_path, monkeypatch
):
    shutil.copytree(photos, tmp_path / "photos")
    recipe["data"]["source"] = {"folder": str(tmp_path / "photos")}
    recipe["finetune"]["stages"][0]["epochs"] = 2
    save = StageLoop.save

    def stop(self):
        save(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(StageLoop, "save", stop)
    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    monkeypatch.setattr(StageLoop, "save", save)
    draw(0, 77).save(tmp_path / "photos" / "red" / "new.png")
    (tmp_path / "photos" / "blue" / "3.png").unlink()
    with pytest.raises(RunError, match=r"1 added \(red/new.png\); 1 removed \(blue/3.png\)"):
        tlkit.resume(tmp_path / "run")
    done = workflow.resume(tmp_path / "run", allow_data_change=True)
    assert done.result["status"] == "done"
    told = CliRunner().invoke(cli, ["finetune", "x.yaml", "--allow-data-change"])
    assert "belongs to --resume" in told.output


def test_the_folder_of_another_recipe_is_not_touched(recipe, two):
    before = (two[0] / "result.json").read_bytes()
    with pytest.raises(RunError, match="is not empty"):
        tlkit.finetune(recipe, run_dir=two[0])
    assert (two[0] / "result.json").read_bytes() == before


def test_a_keras_file_cannot_run_code(tmp_path, recipe):
    inputs = keras.Input((2,))
    file = tmp_path / "evil.keras"
    keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs)).save(file)
    recipe["model"]["weights"] = str(file)
    with pytest.raises(WeightsError, match=r"evil\.keras"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


@pytest.mark.parametrize("name", ["../up", "/tmp/else", "a/b", ""])
def test_a_recipes_name_leads_nowhere(recipe, name):
    with pytest.raises(RecipeError, match="name"):
        load_recipe({**recipe, "name": name})
