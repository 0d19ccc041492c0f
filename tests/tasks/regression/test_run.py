"""Regression from a list of photos to a served model."""

import base64
import csv
import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import mean_absolute_error, r2_score
from starlette.testclient import TestClient

import tlkit
from tlkit.cli.main import cli
from tlkit.errors import DataError, UserError
from tlkit.serve.app import make_app
from tlkit.serve.deployed import load_export, prove
from tlkit.serve.limits import Limits


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Grey pictures of some brightness, listed with it in per cent and with how many are left."""
    root = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(200):
        level = rng.uniform(30, 220)
        pixels = np.clip(rng.normal(level, 12, (40, 40, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(root / f"{index}.png")
        rows.append((f"{index}.png", round(level / 2.55, 2), round(-0.01 * level + 3, 4)))
    with open(root / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "percent", "left"), *rows])
    return root


def recipe_of(folder, **more):
    return {
        "name": "brightness",
        "data": {
            "source": {
                "manifest": {
                    "path": str(folder / "list.csv"),
                    "label_column": more.pop("columns", ["percent", "left"]),
                }
            },
            "image_size": 32,
            "batch_size": 8,
        },
        "model": {
            "backbone": "tiny",
            "weights": "bundled",
            "head": {"linear": {"dropout": 0.0}},
            **more.pop("model", {}),
        },
        "finetune": {
            "stages": more.pop("stages", [{"policy": "head-only", "solver": "lbfgs"}]),
            **more.pop("finetune", {}),
        },
        "export": [],
        **more,
    }


@pytest.fixture(scope="session")
def run(measured, tmp_path_factory):
    return tlkit.finetune(
        recipe_of(measured, task="regression", export=["saved_model", "litert", "onnx"]),
        run_dir=tmp_path_factory.mktemp("runs") / "run",
        console=None,
    )


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_its_figures_are_those_of_its_predictions(run):
    rows = rows_of(run.folder / "predictions.csv")
    true = np.array([row["label"].split("|") for row in rows], float)
    found = np.array([[row["predicted:percent"], row["predicted:left"]] for row in rows], float)
    assert run.metrics.r2 == pytest.approx(r2_score(true, found), rel=1e-5)
    assert [one.name for one in run.metrics.per_output] == ["percent", "left"]
    assert run.metrics.per_output[0].mae == pytest.approx(
        mean_absolute_error(true[:, 0], found[:, 0]), rel=1e-5
    )
    assert run.result["task"] == "regression"
    assert run.result["best"].keys() == {"val_r2", "val_loss"}


def test_the_saved_model_answers_in_units(run, measured):
    rows = {row["image"]: row for row in rows_of(run.folder / "predictions.csv")}
    name = next(iter(rows))
    (told,) = run.predict(measured / name)
    assert told.values["percent"] == pytest.approx(float(rows[name]["predicted:percent"]), rel=1e-4)
    model = keras.models.load_model(run.folder / "model.keras")
    image = np.asarray(Image.open(measured / name).resize((32, 32)), "float32")[None]
    assert model(image).shape == (1, 2)
    for form, item in run.result["export"].items():
        assert item["parity"]["labels_equal"], form
        assert item["parity"]["r2"] == pytest.approx(run.metrics.r2, abs=1e-3)


def test_pages_and_cards_show_it(run):
    page = (run.folder / "report.html").read_text()
    for text in ("Predicted values", "mean absolute error", "The largest errors", "percent"):
        assert text in page
    card = (run.folder / "export" / "saved_model" / "README.md").read_text()
    assert "A network from images to numbers: percent, left." in card
    assert "`values`, float32" in card


def test_it_is_served(run, measured):
    folder = run.folder / "export" / "saved_model"
    deployed = load_export(folder)
    count, difference = prove(deployed, folder)
    assert count > 0
    assert difference < 1e-3
    picture = (measured / "3.png").read_bytes()
    (told,) = run.predict(measured / "3.png")
    with TestClient(make_app(deployed, Limits())) as client:
        (answer,) = client.post("/predict", content=picture).json()["predictions"]
        assert answer["values"] == pytest.approx(told.values, rel=1e-4)
        name = deployed.name
        body = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
        reply = client.post(f"/v1/models/{name}:predict", json=body).json()
        values = reply["predictions"][0]
        values = values["values"] if isinstance(values, dict) else values
        np.testing.assert_allclose(values, list(told.values.values()), rtol=1e-4)


def test_it_is_measured_on_other_lists(run, measured):
    found = run.evaluate(measured / "list.csv")
    assert found.images == 200
    assert found.r2 > 0.6


def test_predictions_are_written_as_a_table(run, measured):
    told = CliRunner().invoke(cli, ["predict", str(run.folder), str(measured / "3.png")])
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    assert list(rows[0]) == ["image", "percent", "left", "error"]
    told = CliRunner().invoke(
        cli, ["predict", str(run.folder), str(measured / "3.png"), "--format", "jsonl"]
    )
    assert json.loads(told.stdout)["values"].keys() == {"percent", "left"}


def test_the_task_is_found_from_the_data(measured, tmp_path):
    """One column of measured numbers, that no one named."""
    rows = rows_of(measured / "list.csv")
    file = measured / "found.csv"
    with open(file, "w", newline="") as target:
        csv.writer(target).writerows(
            [("path", "percent"), *((r["path"], r["percent"]) for r in rows)]
        )
    recipe = recipe_of(measured)
    recipe["data"]["source"] = {"manifest": str(file)}
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)
    assert run.result["task"] == "regression"
    assert run.metrics.mae < 18  # always the mean: 19.5
    assert "task: regression" in (run.folder / "resolved.yaml").read_text()
    text = CliRunner().invoke(cli, ["init", str(file), "-o", str(tmp_path / "drafted")])
    assert text.exit_code == 0, text.output
    assert "task: regression" in "".join(p.read_text() for p in tmp_path.glob("drafted*"))


def test_whole_numbers_are_numbers_where_the_recipe_says_so(measured, tmp_path):
    """In the run, in what is exported from it afterwards, and in the audit of its recipe."""
    with open(measured / "whole.csv", "w", newline="") as target:
        rows = rows_of(measured / "list.csv")
        csv.writer(target).writerows(
            [("path", "label"), *((row["path"], round(float(row["percent"]))) for row in rows)]
        )
    recipe = recipe_of(measured, task="regression", columns="label")
    recipe["data"]["source"]["manifest"]["path"] = str(measured / "whole.csv")
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)
    run.export("litert")
    parity = json.loads((run.folder / "export" / "litert" / "parity.json").read_text())
    assert parity["images"] == run.metrics.images
    assert parity["r2"] == pytest.approx(run.metrics.r2, abs=1e-3)
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    told = CliRunner().invoke(
        cli, ["check", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "check")]
    )
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "check" / "check.json").read_text())
    assert {name for row in found["counts"].values() for name in row} == {"label"}
    assert "few_images" not in [one["kind"] for one in found["findings"]]


def test_numbers_in_memory_are_learned(measured, tmp_path):
    rows = rows_of(measured / "list.csv")[:40]
    images = np.stack([np.asarray(Image.open(measured / row["path"])) for row in rows])
    numbers = np.array([float(row["percent"]) for row in rows])
    recipe = recipe_of(measured)
    del recipe["data"]["source"]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None, data=(images, numbers))
    assert run.result["task"] == "regression"
    assert run.classes == ["value"]
    (found,) = run.predict(images[:1])
    assert abs(found.values["value"] - numbers[0]) < 40
    again = run.evaluate((images, np.round(numbers)))
    assert again.images == 40
    with pytest.raises(DataError, match="there are 3 names"):
        tlkit.finetune(
            recipe,
            run_dir=tmp_path / "other",
            console=None,
            data={"train": (images, np.stack([numbers, -numbers], 1)), "classes": ["a", "b", "c"]},
        )


STEPS = [{"policy": "head-only", "epochs": 2, "optimizer": {"adam": 0.05}}]


@pytest.mark.parametrize(
    "more",
    [
        {"augment": ["mix_up"], "augment_on": "pipeline"},
        {"finetune": {"loss": "huber", "class_weight": {"left": 2.0}, "ema": {"momentum": 0.9}}},
        {"finetune": {"loss": {"flooding": {"level": 0.1, "loss": "mean_squared_error"}}}},
        {
            "augment": ["mix_up"],
            "stages": [
                {"policy": "full", "epochs": 1, "batch_size": 4, "gradient_accumulation_steps": 2}
            ],
        },
        {"columns": "percent", "finetune": {"mixed_precision": "bfloat16"}},
        {"finetune": {"adversarial": {"attack": "fgsm"}}},
    ],
    ids=["mixed", "weighed", "flooded", "accumulated", "bfloat16", "adversarial"],
)
def test_it_goes_together_with(more, measured, tmp_path):
    run = tlkit.finetune(
        recipe_of(measured, **{"stages": STEPS, **more}), run_dir=tmp_path / "run", console=None
    )
    assert np.isfinite(run.metrics.loss)
    assert run.result["stages"][0]["metrics"]["val_loss"] == pytest.approx(
        run.metrics.loss, rel=0.05
    )


def test_a_folder_of_classes_is_refused(photos, tmp_path):
    recipe = recipe_of(tmp_path, task="regression")
    recipe["data"]["source"] = {"folder": str(photos)}
    with pytest.raises(DataError, match="regression learns numbers"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)


def test_classes_and_numbers_are_not_confused(measured, tmp_path):
    recipe = recipe_of(measured, task="classification")
    with pytest.raises(DataError, match=r"values in 2 columns .*classification takes one class"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)
    recipe = recipe_of(measured, task="regresion")
    with pytest.raises(UserError, match="Did you mean 'regression'"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)


def test_recipes_are_checked_without_tensorflow(measured, tmp_path):
    text = json.dumps(
        recipe_of(measured, task="regression", stages=STEPS, finetune={"loss": "focal"})
    )
    (tmp_path / "r.yaml").write_text(text)
    code = (
        "import sys; from tlkit.cli.main import cli\n"
        "from tlkit.errors import RecipeError\n"
        f"try: cli(['validate', {str(tmp_path / 'r.yaml')!r}], standalone_mode=False)\n"
        "except RecipeError as e: print(e)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "'focal' is not for regression" in told.stdout + told.stderr
    assert told.returncode == 0, told.stderr
