"""Every format, proved in its own runtime, with what lies beside it."""

import io
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.export.test_litert_metadata import check_metadata
from tlkit.errors import RecipeError, RunFailed, UserError
from tlkit.export import write
from tlkit.export.parity import check_export
from tlkit.export.served import Proof
from tlkit.export.write import parse_format
from tlkit.preflight import check_files
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import Component
from tlkit.reporter import SILENT
from tlkit.runs.export import _proof_images, export_run
from tlkit.runs.trained_run import load_trained_run
from tlkit.serve.deployed import load_export, prove
from tlkit.tasks.classification import Classification

FORMS = {
    "saved_model": "saved_model",
    "keras": "keras",
    "onnx": "onnx",
    "litert": "litert",
    "litert:float16": "litert-float16",
    "litert:int8": "litert-int8",
    "openvino": "openvino",
    "openvino:int8": "openvino-int8",
}


@pytest.fixture(scope="module")
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """All formats, and what was said; the development extra brings all of their packages."""
    said = Console(record=True, file=io.StringIO(), width=300)
    folder = tmp_path_factory.mktemp("formats")
    done = {name: run.folder / "export" / name for name in ("saved_model", "keras")}
    for name, home in done.items():
        shutil.copytree(home, folder / name)
    places = {name: folder / run.result["export"][name]["path"][len("export/") :] for name in done}
    others = [form for form in FORMS if form not in done]
    made = export_run(run.folder, others, folder, said)
    return folder, {**places, **dict(zip(others, made, strict=True))}, said.export_text()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_answers_as_evaluated_and_has_all_beside_it(run, exported, form):
    folder, places, said = exported
    home = folder / FORMS[form]
    assert places[form].is_relative_to(home)
    if form not in run.result["export"]:
        assert f"{FORMS[form]}: {run.result['evaluation']['images']} images, " in said
    parity = json.loads((home / "parity.json").read_text())
    assert parity["images"] == run.result["evaluation"]["images"]
    assert parity["accuracy"] >= run.result["evaluation"]["accuracy"] - 0.02
    if "int8" not in form and "float16" not in form:
        assert parity["largest_difference"] < 1e-3
    assert parity["images_per_second"] > 0 < parity["milliseconds"]
    assert (home / "labels.txt").read_text().split() == ["blue", "green", "red"]
    signature = json.loads((home / "signature.json").read_text())
    assert signature["labels"] == ["blue", "green", "red"]
    (given,), (found,) = signature["inputs"], signature["outputs"]
    assert given["name"] == ("image_bytes" if form == "saved_model" else "image")
    assert found["name"] == "probabilities"
    assert "Its figures" in (home / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_is_served_as_it_was_evaluated(exported, form):
    home = exported[0] / FORMS[form]
    deployed = load_export(home)
    count, difference = prove(deployed, home)
    assert count == 10
    assert difference < (0.3 if "int8" in form else 0.01 if "float16" in form else 1e-3)
    assert (deployed.explain is not None) == (form == "saved_model")


def bilinear(image, size):
    """The rows of a picture at another number, in NumPy."""
    at = np.clip((np.arange(size) + 0.5) * len(image) / size - 0.5, 0, len(image) - 1)
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, len(image) - 1), (at - low)[:, None, None]
    return image[low] * (1 - part) + image[high] * part


def test_an_own_program_gets_the_same_from_onnx(exported, tmp_path):
    """The signature says all that a person must know; no code of tlkit's is used."""
    import onnxruntime

    folder, places, _ = exported
    golden = folder / "onnx" / "golden"
    session = onnxruntime.InferenceSession(places["onnx"])
    signature = json.loads((folder / "onnx" / "signature.json").read_text())
    (given,) = signature["inputs"]
    assert (given["dtype"], given["shape"]) == ("float32", [None, 32, 32, 3])
    answers = []
    for item in json.loads((golden / "golden.json").read_text()):
        image = np.asarray(Image.open(golden / item["file"]).convert("RGB"), "float32")
        assert signature["decoding"] == (
            "crop to 32 x 32, bilinear at half-pixel centres without smoothing"
        )
        pixels = bilinear(bilinear(image, 32).transpose(1, 0, 2), 32).transpose(1, 0, 2).round()
        (found,) = session.run(None, {given["name"]: pixels[None].astype("float32")})
        assert signature["labels"][int(found[0].argmax())] == item["predicted"]
    inputs = np.load(golden / "inputs.npy").astype("float32")
    answers = session.run(None, {given["name"]: inputs})[0]
    np.testing.assert_allclose(answers, np.load(golden / "probabilities.npy"), atol=1e-3)
    np.save(tmp_path / "mine.npy", answers)
    np.save(tmp_path / "wrong.npy", answers[:, ::-1])
    done = [
        subprocess.run(
            [sys.executable, "check.py", file], cwd=golden, capture_output=True, text=True
        )
        for file in (tmp_path / "mine.npy", tmp_path / "wrong.npy")
    ]
    assert [d.returncode for d in done] == [0, 1]
    assert "labels the same" in done[0].stdout


def told(run, metadata):
    """What a file says of itself, against the run."""
    assert json.loads(metadata["labels"]) == ["blue", "green", "red"]
    assert json.loads(metadata["resize"]) == {"size": [32, 32], "how": "crop", "antialias": False}
    assert json.loads(metadata["range"]) == [0, 255]
    assert (metadata["name"], metadata["order"]) == ("colours", "RGB")
    assert metadata["licence"]
    return True


def test_an_onnx_file_names_its_tensors_and_says_what_they_mean(run, exported):
    import onnx
    import onnxruntime

    file = exported[1]["onnx"]
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file)
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("image", ["batch", 32, 32, 3])
    assert (found.name, found.shape) == ("probabilities", ["batch", 3])
    assert told(run, session.get_modelmeta().custom_metadata_map)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["openvino", "openvino:int8"])
def test_an_openvino_file_names_its_tensors_and_says_what_they_mean(run, exported, form):
    from tlkit.features.engines.openvino import core

    model = core().read_model(exported[1][form])
    assert model.input("image").partial_shape.to_string() == "[?,32,32,3]"
    assert model.output("probabilities").partial_shape.to_string() == "[?,3]"
    keys = ("labels", "resize", "range", "name", "order", "licence")
    assert told(run, {key: model.get_rt_info(["tlkit", key]).astype(str) for key in keys})


@pytest.mark.slow
@pytest.mark.parametrize("form", ["litert", "litert:float16", "litert:int8"])
def test_a_litert_file_names_its_tensors(exported, form):
    from ai_edge_litert.interpreter import Interpreter

    file = Interpreter(str(exported[1][form]))
    (signature,) = file.get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    home = exported[0] / FORMS[form]
    inputs = np.load(home / "golden" / "inputs.npy")
    run = file.get_signature_runner()
    kind = run.get_input_details()["image"]["dtype"]
    answer = run(image=inputs.astype(kind))["probabilities"]
    expected = np.load(home / "golden" / "probabilities.npy")
    np.testing.assert_allclose(answer, expected, atol=0.3 if "int8" in form else 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["litert", "litert:int8"])
def test_a_litert_file_says_what_it_takes_and_gives(exported, form):
    from tensorflow.lite.python import schema_py_generated as schema

    file = exported[1][form]
    with zipfile.ZipFile(file) as packed:
        assert packed.read("labels.txt").decode().split() == ["blue", "green", "red"]
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(file.read_bytes(), 0))
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    check_metadata(bytes(model.buffers[entry.buffer].data), "colours", (32, 32))


def test_layers_of_tlkit_s_are_named_where_keras_alone_would_load_the_file(tmp_path):
    import keras

    from tlkit.export.keras import keras as write_keras
    from tlkit.layers import SoftThreshold

    given = keras.Input((8, 8, 3))
    model = keras.Model(given, keras.Sequential([given, SoftThreshold()])(given))
    with pytest.raises(
        ValueError, match="Keras alone does not know SoftThreshold; the other formats"
    ):
        write_keras(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_the_converter_does_not_know_is_written_otherwise_in_onnx(tmp_path):
    """Mean and variance outside of the graph (EfficientNetV2, a recipe's own), and GELU (ConvNeXt)."""
    import keras
    import onnxruntime

    from tlkit.export.onnx import onnx

    given = keras.Input((8, 8, 3))
    statistics = {"mean": [100.0, 110.0, 120.0], "variance": [50.0, 60.0, 0.0]}
    x = keras.layers.GlobalAveragePooling2D()(
        keras.layers.Normalization(axis=-1, **statistics)(given)
    )
    x = keras.layers.Activation("gelu")(keras.layers.Dense(5, activation="gelu")(x))
    model = keras.Model(given, keras.layers.Softmax()(keras.layers.Dense(2)(x)))
    session = onnxruntime.InferenceSession(onnx(model, (8, 8), tmp_path, {"name": "x"}))
    assert [entry.name for entry in session.get_inputs()] == ["image"]
    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    images[..., 2] = 120 + images[..., 2] * 1e-7
    (found,) = session.run(None, {"image": images})
    np.testing.assert_allclose(found, model(images), atol=1e-4)


def test_what_stopped_a_runtime_is_said_in_a_line(run, tmp_path):
    split = _proof_images(load_trained_run(run.folder), SILENT)[0]
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no")
    with pytest.raises(
        RunFailed, match=r"cannot be run by onnxruntime alone: .*INVALID_PROTOBUF"
    ) as e:
        opened = load_trained_run(run.folder)
        proof = Proof(opened.task, split, opened.prepare(), None)
        check_export(broken, Component("onnx"), proof)
    assert "\n" not in str(e.value)
    assert "Traceback" not in str(e.value)


def test_what_answers_otherwise_is_not_left_as_if_it_were_good(run, tmp_path, monkeypatch):
    answers = Classification.answers
    monkeypatch.setattr(Classification, "answers", lambda self, logits: answers(self, -logits))
    with pytest.raises(RunFailed, match="is not what was evaluated"):
        export_run(run.folder, ["keras"], tmp_path, None)
    assert [p.name for p in tmp_path.iterdir()] == ["keras.failed"]


def test_int8_may_lose_a_little_and_no_more(run):
    place = run.folder / "export" / "keras" / "model.keras"
    _, dataset = _proof_images(load_trained_run(run.folder), SILENT)
    val = dataset.val
    count = len(val)
    item = Component("keras", {"precision": "int8"})

    def proof():
        perfect = np.eye(3, dtype="float32")[val.labels]
        return Proof(dataset.task, val, dataset.prepare, perfect)

    assert check_export(place, item, proof()).images == count
    labels = val.labels.copy()
    val.labels = (labels + 1) % 3
    with pytest.raises(RunFailed, match="accuracy lost"):
        check_export(place, item, proof())
    val.labels = labels


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("coreml", "is not an export format"),
        ("litert:int4", "'int4' is not a precision of litert: Literal"),
        ("keras:float16", "takes no 'float16'"),
    ],
)
def test_wrong_formats_are_answered(run, form, message):
    with pytest.raises(UserError, match=message):
        parse_format(form)


def test_a_package_that_is_missing_is_named_before_anything_runs(recipe, monkeypatch):
    monkeypatch.setattr(write.importlib.util, "find_spec", lambda name: None)
    recipe["export"] = [{"litert": {"precision": "int8"}}]
    with pytest.raises(RecipeError, match=r"pip install 'tlkit\[litert\]'"):
        check_files(load_recipe(recipe))


def test_a_recipe_says_which_and_the_report_shows_them(run):
    assert list(run.result["export"]) == ["saved_model", "keras"]
    assert "Exports, each asked for the same images" in (run.folder / "report.html").read_text()
