"""tlkit in Python: what a run can do, what a recipe may be, and that editors know all of it."""

import ast
import contextlib
import csv
import importlib
import io
import json
import pathlib
import subprocess
import sys

import jedi
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import tlkit
from tests.conftest import ROOT, draw
from tlkit import registry
from tlkit.data.in_memory import take
from tlkit.runs.run import expect_in_memory

IMAGES = np.stack([np.asarray(draw(k % 3, k)) for k in range(45)])
NAMES = ["red", "green", "blue"]
LABELS = [NAMES[k % 3] for k in range(45)]
# packages whose public names are what the registry finds in their files
REGISTERED = ("activations", "adversarial", "augment", "initializers", "layers", "losses", "preprocess", "regularizers")  # fmt: skip


def recipe(**more):
    return tlkit.Recipe(
        name="colours",
        data=tlkit.Data(source="in_memory", image_size=40, split=tlkit.Split(val=0.3)),
        model=tlkit.Model(backbone="tiny"),
        finetune=tlkit.Finetune(stages=[tlkit.Stage(policy="head-only", solver="lbfgs")]),
        export=["keras"],
        **more,
    )


@pytest.fixture(scope="module")
def told():
    """What a run tells, while nobody says where."""
    return io.StringIO()


@pytest.fixture(scope="module")
def run(tmp_path_factory, told):
    folder = tmp_path_factory.mktemp("runs") / "run"
    with contextlib.redirect_stdout(told):
        return tlkit.finetune(recipe(), run_dir=str(folder), data=(IMAGES, LABELS))


def test_a_run_reports_by_itself(run, told):
    for words in ("3 classes, images:", "stage 1: policy head-only", f"report   {run.folder}"):
        assert words in told.getvalue()


def test_a_run_shows_itself(run):
    assert isinstance(run, tlkit.Run) and isinstance(run.folder, pathlib.Path)
    for words in (str(run.folder), "tiny", "3 classes", f"val accuracy {run.metrics.accuracy:.4f}"):
        assert words in repr(run)
    assert run.classes == ["blue", "green", "red"]
    assert run.recipe.finetune.stages[0].solver == "lbfgs"
    assert run.recipe.data.source.name == "in_memory"
    assert run.recipe.data.source.arguments == {"kind": "arrays", "images": 45}
    assert [*run.exports] == ["keras"] and run.exports["keras"].is_file()


def test_metrics_are_those_of_the_predictions(run):
    with open(run.folder / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    true, guessed = ([row[key] for row in rows] for key in ("label", "predicted"))
    metrics = run.metrics
    assert isinstance(metrics, tlkit.Metrics)
    assert (metrics.split, metrics.images) == ("val", len(rows))
    assert metrics.accuracy == sklearn.metrics.accuracy_score(true, guessed)
    assert metrics.macro_f1 == pytest.approx(
        sklearn.metrics.f1_score(true, guessed, average="macro")
    )
    assert metrics.balanced_accuracy == pytest.approx(sklearn.metrics.balanced_accuracy_score(true, guessed))  # fmt: skip
    assert [row.name for row in metrics.per_class] == run.classes
    assert sum(row.images for row in metrics.per_class) == metrics.images
    low, high = metrics.accuracy_interval
    assert low <= metrics.accuracy <= high and metrics.top_5_accuracy is None


def test_the_model_gives_what_is_predicted(run):
    shares = run.model.predict(IMAGES.astype("float32"), verbose=0)
    found = run.predict(IMAGES, top=3)
    assert [item.image for item in found] == [f"images[{k}]" for k in range(45)]
    for row, item in zip(shares, found, strict=True):
        assert item.label == run.classes[row.argmax()] and item.error is None
        assert dict(item.top) == pytest.approx(dict(zip(run.classes, row, strict=True)), abs=1e-4)


def test_files_and_arrays_are_predicted_alike(run, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    files = [folder / f"{k}.png" for k in range(3)]
    for image, file in zip(IMAGES, files, strict=False):
        Image.fromarray(image).save(file)
    expected = [item.label for item in run.predict(list(IMAGES[:3]))]
    for given in (str(folder), files, map(str, files), tf.constant(IMAGES[:3])):  # fmt: skip
        assert [item.label for item in run.predict(given)] == expected
    assert run.predict(str(files[0]))[0].label == run.predict(IMAGES[0])[0].label == expected[0]
    (folder / "0.png").write_bytes(b"\x89PNG broken")
    broken, whole, _ = run.predict(folder)
    assert broken.error and not broken.label and whole.label == expected[1]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES / 255, "Hand over images * 255"),
        (IMAGES[..., 0], "expected images as one array"),
        ([], "holds no images"),
        ([IMAGES[0], "x.png"], "found both"),
        (3, "expected files, folders or arrays, found int"),
        ("nowhere.png", "no such file or folder"),
    ],
)
def test_what_cannot_be_predicted_is_refused(run, images, said):
    with pytest.raises(tlkit.DataError) as error:
        run.predict(images)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.predict(IMAGES, top=0),
        lambda run: run.predict(IMAGES, engine="kears"),
        lambda run: run.evaluate((IMAGES, LABELS), on_broken="ignore"),
        lambda run: run.export("litre"),
        lambda run: run.export("litert", precision="int4"),
    ],
)
def test_wrong_arguments_are_told(run, call):
    with pytest.raises(tlkit.UserError):
        call(run)


def test_data_in_memory_and_in_files_are_evaluated_alike(run, tmp_path):
    for name, image, k in zip(LABELS, IMAGES, range(45), strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "photos" / name / f"{k}.png")
    ids = [run.classes.index(name) for name in LABELS]
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, ids)).batch(7)
    given = (str(tmp_path / "photos"), (IMAGES, LABELS), dataset)
    first, *others = (run.evaluate(data, output=tmp_path / "out") for data in given)
    assert first.images == 45 and first.split == "data"
    shares = run.model.predict(IMAGES.astype("float32"), verbose=0)
    assert first.accuracy == (shares.argmax(1) == ids).mean()
    for other in others:
        assert other.accuracy == first.accuracy and other.loss == pytest.approx(first.loss)
    assert (tmp_path / "out" / "predictions.csv").is_file()
    with pytest.raises(tlkit.DataError, match="does not know: violet"):
        run.evaluate((IMAGES[:1], ["violet"]))


@pytest.mark.slow
def test_a_run_is_opened_again_and_exported(run, tmp_path):
    again = tlkit.load_run(str(run.folder))
    assert again.metrics == run.metrics and repr(again) == repr(run)
    file = again.export("litert", output=str(tmp_path / "out"))
    interpreter = Interpreter(str(file))
    runner = interpreter.get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    answer = runner(**{name: IMAGES[:1].astype("float32")})["probabilities"]
    expected = run.model.predict(IMAGES[:1].astype("float32"), verbose=0)
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    with pytest.raises(tlkit.DataError, match="Hand them over again"):
        again.export("litert", precision="int8")
    whole = tlkit.load_run(run.folder, data=(IMAGES, LABELS))
    assert whole.export("litert", precision="int8", output=tmp_path / "out").is_file()
    page = again.report()
    assert page == run.folder / "report.html" and "colours" in page.read_text()


def test_what_is_no_finished_run_is_told(tmp_path, photos, run):
    with pytest.raises(tlkit.RunError, match="no such run folder"):
        tlkit.load_run(tmp_path / "none")
    other = tlkit.load_recipe(recipe(), [f"data.source={{folder: {photos}}}"])
    with pytest.raises(tlkit.RunError, match="reads its images from folder; it takes no data="):
        expect_in_memory(other, take((IMAGES, LABELS)), run.folder)


def test_a_run_on_arrays_is_resumed_with_the_same_arrays_alone(tmp_path):
    import keras

    def stop(epoch, logs):
        raise KeyboardInterrupt

    folder, data = tmp_path / "run", {"train": (IMAGES[:30], LABELS[:30]), "val": (IMAGES[30:], LABELS[30:])}  # fmt: skip
    given = {
        "data": {"image_size": 32},
        "model": {"backbone": "tiny", "weights": "none"},
        "finetune": {"stages": [{"policy": "head-only", "epochs": 2}]},
        "export": [],
    }
    stops = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(tlkit.Interrupted):
        tlkit.finetune(given, run_dir=folder, console=None, data=data, callbacks=[stops])
    with pytest.raises(tlkit.DataError, match="Hand them over again"):
        tlkit.resume(folder, console=None)
    other = {**data, "val": (255 - IMAGES[30:], LABELS[30:])}
    with pytest.raises(tlkit.RunError, match="15 changed"):
        tlkit.resume(folder, console=None, data=other)
    run = tlkit.resume(folder, console=None, data=data)
    assert run.metrics.images == 15 and run.result["status"] == "done"
    with pytest.raises(tlkit.DataError, match="Hand them over again"):
        tlkit.reproduce(folder, run_dir=tmp_path / "again", console=None)


def test_what_is_no_run_leaves_keras_as_it_was(run):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        tlkit.load_run(run.folder).predict(IMAGES[:1])
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(before)


# recipes


def test_a_recipe_is_the_same_however_it_is_made(tmp_path, photos):
    typed = tlkit.Recipe(
        name="x",
        data=tlkit.Data(source={"folder": pathlib.Path(photos)}, image_size=(32, 48)),
        model=tlkit.Model(backbone="tiny", norm=tlkit.Norm(swap="group", groups=4)),
        finetune=tlkit.Finetune(
            stages=[tlkit.Stage(policy={"last-blocks": 2}, epochs=1, optimizer={"adam": 1e-3})],
            early_stopping=tlkit.EarlyStopping(patience=2),
            class_weight=tlkit.EffectiveNumber(effective_number=0.9),
        ),
        cache=tlkit.Cache(folder=pathlib.Path("features")),
    )
    mapping = {
        "name": "x",
        "data": {"source": {"folder": photos}, "image_size": [np.int64(32), 48]},
        "model": {"backbone": "tiny", "norm": {"swap": "group", "groups": 4}},
        "finetune": {
            "stages": [{"policy": {"last-blocks": 2}, "epochs": 1, "optimizer": {"adam": np.float64(1e-3)}}],
            "early_stopping": {"patience": 2},
            "class_weight": {"effective_number": 0.9},
        },
        "cache": {"folder": "features"},
    }  # fmt: skip
    mixed = {**mapping, "data": typed.data, "finetune": {**mapping["finetune"], "stages": typed.finetune.stages}}  # fmt: skip
    file = tmp_path / "recipe.yaml"
    file.write_text(typed.to_yaml())

    def read(given):  # and again from its file, where all arguments are written
        (tmp_path / "again.yaml").write_text(tlkit.load_recipe(given).to_yaml())
        return tlkit.load_recipe(tmp_path / "again.yaml")

    first, *others = (read(given) for given in (typed, mapping, mixed, file, str(file)))
    for other in others:
        assert other.to_yaml() == first.to_yaml()
    assert tlkit.load_recipe(typed, ["seed=3"]).seed == 3 and typed.seed == 0
    assert isinstance(first, tlkit.Recipe)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tlkit.Model(backbone="mobilnet_v2"), "tlkit.Model: backbone: 'mobilnet_v2' is not"),
        (lambda: tlkit.Data(source={"folder": "x"}, batch=3), "batch: unknown key 'batch' in Data"),
        (lambda: tlkit.Stage(policy="head-only", optimizer={"adam": {"rate": 1}}), "unknown key 'rate' in optimizer"),
        (lambda: tlkit.Stage(policy="full", epochs="3"), "expected a whole number, found '3'"),
        (lambda: tlkit.Recipe(), "tlkit.Recipe: model: is missing"),
    ],
)  # fmt: skip
def test_a_recipe_s_mistakes_are_told_as_those_of_a_file(make, said):
    with pytest.raises(tlkit.RecipeError) as error:
        make()
    assert said in str(error.value)


def test_a_recipe_is_taken_by_all_that_take_one(tmp_path, capsys, photos):
    given = recipe()
    given.finetune.stages[0] = tlkit.Stage(policy="head-only", epochs=1)
    data = (IMAGES, LABELS)
    tlkit.show_plan(given, data=data)
    assert "head-only" in capsys.readouterr().out
    found = tlkit.find_learning_rate(
        given, target=str(tmp_path / "sweep.png"), steps_wanted=20, console=None, data=data
    )
    assert 0 < found.valley < 1 and (tmp_path / "sweep.png").is_file()
    assert capsys.readouterr().out == ""
    with pytest.raises(tlkit.DataError, match="Hand them over again"):
        tlkit.show_plan(given, console=None)


# names


def typed_names(file):
    """Names that a module imports for editors and type checkers alone."""
    tree = ast.parse(file.read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]  # fmt: skip
    return {
        item.asname or item.name: f"{node.module}.{item.name}"
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for item in node.names
    }


def test_every_public_name_is_listed_typed_and_there():
    named = typed_names(ROOT / "tlkit" / "__init__.py")
    assert sorted(named) == sorted(tlkit.__all__) == [*tlkit.__all__]
    assert set(tlkit.__all__) <= set(dir(tlkit))
    for name, place in named.items():
        module, _, last = place.rpartition(".")
        found = getattr(tlkit, name)
        home = importlib.import_module(place if module == "tlkit" else module)
        assert found is (home if module == "tlkit" else getattr(home, last))
    with pytest.raises(AttributeError, match="'tlkit' has no attribute 'finetun'"):
        _ = tlkit.finetun


@pytest.mark.parametrize("name", REGISTERED)
def test_what_editors_know_of_a_package_is_what_is_registered(name):
    package = importlib.import_module(f"tlkit.{name}")
    named = typed_names(ROOT / "tlkit" / name / "__init__.py")
    assert sorted(named) == sorted(dir(package))
    kinds = next(things for things in registry.REGISTRIES if things.package == package.__name__)
    called = {entry.attribute for entry in kinds.packaged.values()}
    assert called <= set(named)
    for short, place in named.items():
        module, _, last = place.rpartition(".")
        assert getattr(package, short) is getattr(importlib.import_module(module), last)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import tlkit\ntlkit.fine", "finetune"),
        ("import tlkit\ntlkit.layers.Stoch", "StochasticDepth"),
        ("from tlkit.losses import Foc", "Focal"),
        ("import tlkit\nrun = tlkit.load_run('x')\nrun.pred", "predict"),
        ("import tlkit\ntlkit.load_run('x').metrics.accur", "accuracy"),
        ("import tlkit\ntlkit.Data(image_s", "image_size="),
    ],
)
def test_an_editor_completes_it(text, expected):
    script = jedi.Script(text, project=jedi.Project(ROOT))
    assert expected in {item.name_with_symbols for item in script.complete()}


def test_names_and_recipes_load_no_tensorflow(tmp_path):
    code = """
import sys, tlkit
dir(tlkit)
quick = not {"numpy", "pydantic", "keras", "tensorflow"} & set(sys.modules)
tlkit.Recipe(data=tlkit.Data(source="in_memory"), model=tlkit.Model(backbone="tiny"),
             finetune=tlkit.Finetune(stages=[tlkit.Stage(policy="full")]))
tlkit.finetune, tlkit.load_run, tlkit.Run, tlkit.Interrupted
print(quick, {"keras", "tensorflow"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "True set()", done.stderr[-2000:]


def test_result_json_is_what_the_run_has(run):
    assert json.loads((run.folder / "result.json").read_text()) == run.result
