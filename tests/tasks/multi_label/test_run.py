"""Several labels an image, from a list of photos to a served model."""

import base64
import csv
import hashlib
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score
from starlette.testclient import TestClient

import tlkit
import tlkit.runs.compare
from tlkit.cli.main import cli
from tlkit.data.dataset import Split
from tlkit.data.decode import make_preparer
from tlkit.data.record import Record
from tlkit.errors import DataError, UserError
from tlkit.evaluate.examples import save_examples
from tlkit.serve.app import make_app
from tlkit.serve.deployed import load_export, prove
from tlkit.serve.limits import Limits
from tlkit.tasks.multi_label.task import MultiLabel
from tlkit.train.interrupt import Interrupted

COLOURS = {"red": (0, 0), "green": (1, 20), "blue": (2, 40)}


def painted(sets, seed=0):
    """Grey noise with a patch of each colour that an image is labelled with."""
    rng = np.random.default_rng(seed)
    images = rng.normal(90, 25, (len(sets), 60, 60, 3))
    for image, own in zip(images, sets, strict=True):
        for name in own:
            channel, corner = COLOURS[name]
            image[corner : corner + 20, corner : corner + 20, channel] += 40
    return np.clip(images, 0, 255).astype("uint8")


def drawn_sets(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        tuple(name for name, there in zip(COLOURS, row, strict=True) if there)
        for row in rng.random((count, 3)) < 0.4
    ]


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
    root = tmp_path_factory.mktemp("tagged")
    sets = drawn_sets(160)
    for index, image in enumerate(painted(sets)):
        Image.fromarray(image).save(root / f"{index}.png")
    with open(root / "list.csv", "w", newline="") as file:
        rows = [(f"{k}.png", "|".join(own)) for k, own in enumerate(sets)]
        csv.writer(file).writerows([("path", "labels"), *rows])
    return root


def recipe_of(folder, **more):
    return {
        "name": "colours",
        "data": {
            "source": {"manifest": str(folder / "list.csv")},
            "image_size": 32,
            "batch_size": 8,
            **more.pop("data", {}),
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
def run(tagged, tmp_path_factory):
    return tlkit.finetune(
        recipe_of(
            tagged,
            data={"split": {"val": 0.2, "test": 0.2}},
            export=["saved_model", "litert", "onnx"],
        ),
        run_dir=tmp_path_factory.mktemp("runs") / "run",
        console=None,
    )


def test_an_example_shows_the_label_that_it_is_one_of(tmp_path):
    """An image may have a label too many and one too few: it is told twice, of another label each time."""

    class Network:
        task = MultiLabel(["a", "b"])
        image = keras.Input((8, 8, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
        logits = keras.Model(image, keras.layers.Dense(2)(pooled))

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "png")
    prepare = make_preparer((8, 8), "crop", False)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    split = Split([Record("x.png", "a", None, buffer.getvalue)], np.array([[1, 0]]), [digest])
    save_examples(Network, split, prepare, np.array([[0.1, 0.9]], "float32"), tmp_path)
    told = json.loads((tmp_path / "examples.json").read_text())
    assert [told[kind][0]["output"] for kind in ("missed", "wrong")] == ["a", "b"]
    assert len({told[kind][0]["heat"] for kind in told}) == 2


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def answers_of(run):
    """What is true of the evaluated images, what was predicted, and how probable each label is."""
    rows = rows_of(run.folder / "predictions.csv")
    truth, given = (
        np.array([[name in row[key].split("|") for name in run.classes] for row in rows])
        for key in ("label", "predicted")
    )
    return truth, given, np.array([[row[f"p:{n}"] for n in run.classes] for row in rows], float)


def test_its_figures_are_those_of_its_predictions(run):
    truth, given, p = answers_of(run)
    assert run.result["task"] == "multi-label"
    assert run.result["evaluated"] == "test"
    assert run.classes == ["blue", "green", "red"]
    assert run.metrics.map == pytest.approx(average_precision_score(truth, p, average="macro"))
    assert 0.75 < run.metrics.map < 0.99  # 0.4 is chance
    assert run.metrics.f1_micro == pytest.approx(f1_score(truth, given, average="micro"))
    assert run.metrics.f1_macro == pytest.approx(f1_score(truth, given, average="macro"))
    assert run.metrics.exact == pytest.approx((truth == given).all(1).mean())
    assert run.result["best"].keys() == {"val_map", "val_loss"}
    for k, row in enumerate(run.metrics.per_class):
        assert row.images == truth[:, k].sum()
        np.testing.assert_array_equal(p[:, k] >= np.float32(row.threshold), given[:, k])


def test_thresholds_are_kept_with_the_model(run, tagged):
    chosen = json.loads((run.folder / "task.json").read_text())["settings"]["thresholds"]
    assert [row.threshold for row in run.metrics.per_class] == pytest.approx(chosen, rel=1e-5)
    rows = {row["image"]: row for row in rows_of(run.folder / "predictions.csv")}
    name = next(iter(rows))
    (told,) = tlkit.load_run(run.folder).predict(tagged / name, top=3)
    assert "|".join(told.labels) == rows[name]["predicted"]
    assert dict(told.top) == pytest.approx(
        {n: float(rows[name][f"p:{n}"]) for n in run.classes}, abs=1e-5
    )


def test_exports_answer_what_was_evaluated(run, tagged):
    for form, item in run.result["export"].items():
        assert item["parity"]["labels_equal"], form
        assert item["parity"]["map"] == pytest.approx(run.metrics.map, abs=1e-3)
    (folder,) = (run.folder / "export" / "saved_model").glob("[0-9]*")
    served = tf.saved_model.load(str(folder)).signatures["serve_bytes"]
    rows = rows_of(run.folder / "predictions.csv")
    files = tf.constant([(tagged / row["image"]).read_bytes() for row in rows])
    answer = served(files)
    assert set(answer) == {"probabilities", "chosen", "labels"}
    assert [text.decode() for text in answer["labels"].numpy()] == [r["predicted"] for r in rows]
    _, given, p = answers_of(run)
    np.testing.assert_array_equal(answer["chosen"], given)
    np.testing.assert_allclose(answer["probabilities"], p, atol=1e-3)
    model = keras.models.load_model(run.folder / "model.keras")
    image = np.asarray(Image.open(tagged / "3.png").resize((32, 32)), "float32")[None]
    assert model(image).shape == (1, 3)


def test_pages_and_cards_show_it(run):
    page = (run.folder / "report.html").read_text()
    for text in ("mean average precision", "Precision and recall", "threshold", "missed"):
        assert text in page, text
    card = (run.folder / "export" / "saved_model" / "README.md").read_text()
    assert "any number of 3 labels: blue, green, red." in card


def test_it_is_served(run, tagged):
    folder = run.folder / "export" / "saved_model"
    deployed = load_export(folder)
    count, difference = prove(deployed, folder)
    assert count > 0
    assert difference < 1e-3
    picture = (tagged / "3.png").read_bytes()
    (told,) = run.predict(tagged / "3.png")
    with TestClient(make_app(deployed, Limits())) as client:
        (answer,) = client.post("/predict", content=picture).json()["predictions"]
        assert tuple(answer["labels"]) == told.labels
        body = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
        reply = client.post(f"/v1/models/{deployed.name}:predict", json=body).json()
        (row,) = reply["predictions"]
        assert row["labels"] == "|".join(told.labels)
        assert row["chosen"] == [int(name in told.labels) for name in run.classes]
        meta = client.get(f"/v2/models/{deployed.name}").json()
        assert {one["name"] for one in meta["outputs"]} == {"probabilities", "chosen", "labels"}


def test_it_is_measured_on_other_lists(run, tagged, photos):
    found = run.evaluate(tagged / "list.csv")
    assert found.images == 160
    assert found.map > 0.75
    with open(tagged / "other.csv", "w") as file:
        file.write("path,labels\n3.png,red|purple\n4.png,green|red\n")
    with pytest.raises(DataError, match=r"does not know: purple \(first in .*other.csv:2\)"):
        run.evaluate(tagged / "other.csv")
    with pytest.raises(DataError, match="folders give each image one class"):
        run.evaluate(photos)


def test_predictions_are_written_as_a_table(run, tagged):
    told = CliRunner().invoke(cli, ["predict", str(run.folder), str(tagged / "3.png")])
    (row,) = csv.DictReader(io.StringIO(told.stdout))
    assert list(row) == ["image", "labels", "label_1", "probability_1", "error"]
    (found,) = run.predict(tagged / "3.png")
    assert row["labels"] == "|".join(found.labels)


def test_runs_are_compared_by_wrong_labels(run, tagged, tmp_path):
    other = tlkit.finetune(
        recipe_of(
            tagged,
            data={"split": {"val": 0.2, "test": 0.2}},
            stages=[{"policy": "head-only", "solver": "lbfgs", "l2": 100.0}],
        ),
        run_dir=tmp_path / "run",
        console=None,
    )
    told = CliRunner().invoke(
        cli, ["compare", str(run.folder), str(other.folder), "-o", str(tmp_path / "c.html")]
    )
    assert told.exit_code == 0, told.output
    assert "fewer wrong labels an image" in told.output.replace("\n", " ")
    assert "map" in told.output


def test_on_validation_images_it_says_so(tagged, tmp_path):
    """Without a test split, thresholds and figures are of the same images."""
    run = tlkit.finetune(recipe_of(tagged), run_dir=tmp_path / "run", console=None)
    assert run.result["evaluated"] == "val"
    assert "thresholds chosen on the same images" in (run.folder / "report.html").read_text()


def test_the_task_is_found_and_drafted(tagged, tmp_path):
    told = CliRunner().invoke(
        cli, ["init", str(tagged / "list.csv"), "-o", str(tmp_path / "r.yaml")]
    )
    assert told.exit_code == 0, told.output
    text = (tmp_path / "r.yaml").read_text()
    assert "task: multi-label" in text
    told = CliRunner().invoke(cli, ["validate", str(tmp_path / "r.yaml")])
    assert told.exit_code == 0, told.output
    told = CliRunner().invoke(
        cli, ["check", str(tmp_path / "r.yaml"), "-o", str(tmp_path / "check")]
    )
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "check" / "check.json").read_text())
    assert "empty" in [one["kind"] for one in found["findings"]]
    assert "Images without a label" in (tmp_path / "check" / "check.html").read_text()


def test_babysit_and_rank_know_it(tagged, tmp_path):
    (tmp_path / "r.yaml").write_text(json.dumps(recipe_of(tagged, stages=STEPS)))
    told = CliRunner().invoke(cli, ["babysit", str(tmp_path / "r.yaml")])
    assert told.exit_code == 0, told.output
    told = CliRunner().invoke(
        cli, ["rank", str(tagged / "list.csv"), "--backbones", "tiny", "--weights", "bundled"]
    )
    assert told.exit_code == 0, told.output
    assert "map" in told.output.lower()


@pytest.mark.parametrize("form", ["names", "rows"])
def test_label_sets_in_memory_are_learned(form, tmp_path):
    sets = drawn_sets(60, seed=1)
    images = painted(sets, seed=1)
    rows = np.array([[name in own for name in COLOURS] for own in sets], int)
    data = {"train": (images, [list(own) for own in sets] if form == "names" else rows)}
    if form == "rows":
        data["classes"] = list(COLOURS)
    recipe = recipe_of(tmp_path)
    del recipe["data"]["source"]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None, data=data)
    assert run.result["task"] == "multi-label"
    assert sorted(run.classes) == sorted(COLOURS)
    assert run.metrics.map > 0.6
    order = [list(COLOURS).index(name) for name in run.classes]
    again = run.evaluate((images, rows[:, order]))
    assert again.images == 60


STEPS = [{"policy": "head-only", "epochs": 2, "optimizer": {"adam": 0.005}}]


@pytest.mark.parametrize(
    "more",
    [
        {"augment": ["mix_up"], "augment_on": "pipeline"},
        {"augment": ["cut_mix", "flip"], "finetune": {"loss": "asymmetric"}},
        {
            "finetune": {
                "loss": {"binary_focal": {"label_smoothing": 0.1}},
                "class_weight": "balanced",
                "ema": {"momentum": 0.9},
            }
        },
        {"finetune": {"loss": {"flooding": {"level": 0.1, "loss": "asymmetric"}}}},
        {"finetune": {"class_weight": {"red": 3.0}, "adversarial": {"attack": "fgsm"}}},
        {
            "stages": [
                {"policy": "full", "epochs": 1, "batch_size": 4, "gradient_accumulation_steps": 2}
            ],
            "finetune": {"class_weight": {"effective_number": 0.99}},
        },
        {"finetune": {"mixed_precision": "bfloat16"}},
        {"stages": [{"policy": "head-only", "solver": "lbfgs"}],
         "finetune": {"class_weight": "balanced", "loss": {"binary_cross_entropy": {"label_smoothing": 0.1}}}},
        {"model": {"head": {"mlp": {"units": 8}}}, "data": {"batch_size": 1}},
    ],
    ids=[
        "mixed", "cut-mixed", "focal", "flooded", "adversarial", "accumulated", "bfloat16", "solved",
        "one image a batch",
    ],
)  # fmt: skip
def test_it_goes_together_with(more, tagged, tmp_path):
    run = tlkit.finetune(
        recipe_of(tagged, **{"stages": STEPS, **more}), run_dir=tmp_path / "run", console=None
    )
    assert np.isfinite(run.metrics.loss)
    assert run.result["stages"][-1]["metrics"]["val_map"] == pytest.approx(
        run.metrics.map, abs=0.02
    )


def test_a_killed_run_resumes_to_the_same_numbers(tagged, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    recipe = recipe_of(
        tagged, stages=[{"policy": "full", "epochs": 4, "optimizer": {"adam": 0.001}}]
    )
    whole = tlkit.finetune(recipe, run_dir=tmp_path / "whole", console=None)
    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "cut", console=None, callbacks=[Stop()])
    again = tlkit.resume(tmp_path / "cut", console=None)
    assert not tlkit.runs.compare.same_numbers(whole.folder, again.folder)


def test_a_folder_of_classes_is_refused(photos, tmp_path):
    recipe = recipe_of(tmp_path, task="multi-label")
    recipe["data"]["source"] = {"folder": str(photos)}
    with pytest.raises(DataError, match=r"(?s)folders give each image one class.*CSV"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)


def test_classes_and_label_sets_are_not_confused(tagged, tmp_path):
    with pytest.raises(DataError, match=r"(?s)several labels.*task: multi-label"):
        tlkit.finetune(
            recipe_of(tagged, task="classification"), run_dir=tmp_path / "a", console=None
        )
    with open(tagged / "single.csv", "w") as file:
        file.write("path,label\n" + "".join(f"{k}.png,{'ab'[k % 2]}\n" for k in range(40)))
    recipe = recipe_of(tagged, task="multi-label")
    recipe["data"]["source"] = {"manifest": str(tagged / "single.csv")}
    with pytest.raises(DataError, match="each image has one label"):
        tlkit.finetune(recipe, run_dir=tmp_path / "b", console=None)
    with pytest.raises(
        UserError, match=r"'focal' is not for multi-label; those that are: .*binary_focal"
    ):
        tlkit.finetune(
            recipe_of(tagged, task="multi-label", stages=STEPS, finetune={"loss": "focal"}),
            run_dir=tmp_path / "c",
            console=None,
        )  # fmt: skip
    with pytest.raises(UserError, match="'purple' is not a label"):
        tlkit.finetune(
            recipe_of(tagged, finetune={"class_weight": {"purple": 2.0}}),
            run_dir=tmp_path / "d",
            console=None,
        )


def test_a_label_that_no_training_image_has_is_refused(tagged, tmp_path):
    with open(tagged / "split.csv", "w") as file:
        rows = [f"{k}.png,{'red|green' if k % 2 else 'green'},train" for k in range(20)]
        rows += [f"{k}.png,{'blue|red' if k % 2 else 'red'},val" for k in range(20, 30)]
        file.write("path,labels,split\n" + "\n".join(rows))
    recipe = recipe_of(tagged)
    recipe["data"]["source"] = {"manifest": str(tagged / "split.csv")}
    with pytest.raises(DataError, match="no image of the train split has the label blue"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)
