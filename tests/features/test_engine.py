"""Engines against Keras."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tlkit import registry
from tlkit.errors import RecipeError
from tlkit.features import engine as engines
from tlkit.features.compiled_model import CompiledModel
from tlkit.features.engine import choose_engine, compare
from tlkit.preflight import check_files
from tlkit.recipe.load import load_recipe
from tlkit.surgery import recalibrate_batch_norm

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3)).astype("uint8")


@pytest.fixture(scope="module")
def model():
    """A network with two outputs, as a cut through a skip connection has."""
    inputs = keras.Input((64, 64, 3))
    base = keras.applications.MobileNetV2(
        alpha=0.35, weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    taps = [base.get_layer(name).output for name in ("block_14_add", "block_15_expand_relu")]
    body = keras.Model(base.input, taps)
    outputs = body(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs))
    return recalibrate_batch_norm(keras.Model(inputs, outputs), IMAGES[:8])


@pytest.mark.parametrize("name", list(registry.ENGINES))
def test_every_engine_gives_what_keras_gives_in_any_number_of_images(model, name):
    if "openvino" in name:
        pytest.importorskip("openvino")
    chosen = choose_engine(model, IMAGES[:8], name)
    # bfloat16 loses too much in this network of random weights, and gives way to float32
    assert chosen.name in (name, f"{name}-float32")
    found = chosen.run(IMAGES)
    expected = [np.asarray(x) for x in model(IMAGES.astype("float32"), training=False)]
    assert [x.shape for x in found] == [x.shape for x in expected]
    least = registry.ENGINES[chosen.name].facts.least_cosine or 0.99999
    for a, b in zip(expected, found, strict=True):
        assert b.dtype == np.float32
        assert compare([a], [b])[0] > least
    np.testing.assert_allclose(chosen.run(IMAGES[:1])[0], found[0][:1], rtol=0.1, atol=0.1)


def test_auto_takes_the_fastest_that_is_installed(model, monkeypatch):
    monkeypatch.setattr(engines, "missing", lambda name: "x" if "openvino" in name else None)
    assert choose_engine(model, IMAGES[:4]).name == "tensorflow"


@pytest.mark.parametrize(
    ("device", "first"), [("CPU", ["openvino", "openvino-float32"]), ("GPU", ["xla"])]
)
def test_auto_takes_what_the_device_can_do(monkeypatch, device, first):
    monkeypatch.setattr(engines, "_device", lambda: device)
    assert engines.ranked() == [*first, "tensorflow", "keras"]
    exact = [name for name in first if name == "openvino-float32"]
    assert engines.ranked(exact=True) == [*exact, "tensorflow", "keras"]
    assert engines.ranked("xla") == ["xla", "keras"]
    assert engines.ranked("openvino", exact=True) == ["openvino-float32", "keras"]


def test_one_that_disagrees_or_fails_is_passed_over_and_keras_is_left(model, monkeypatch):
    def wrong(model):
        right = registry.ENGINES.build("keras", model)
        return CompiledModel(lambda images: [x + 5 * x.max() for x in right(images)])

    monkeypatch.setattr(registry.ENGINES["tensorflow"], "load", lambda: wrong)
    chosen = choose_engine(model, IMAGES[:4], "tensorflow")
    assert chosen.name == "keras"
    assert "engine tensorflow does not agree with Keras: cosine similarity 0." in chosen.notes[0]

    def fails(model):
        raise RuntimeError("no such operation: Erf\nlong trace")

    monkeypatch.setattr(registry.ENGINES["tensorflow"], "load", lambda: fails)
    chosen = choose_engine(model, IMAGES[:4], "tensorflow")
    assert chosen.name == "keras"
    assert chosen.notes == ["engine tensorflow cannot run this network: no such operation: Erf"]


def test_an_error_without_words_is_named_by_its_kind(model, monkeypatch):
    def fails(model):
        raise NotImplementedError

    monkeypatch.setattr(registry.ENGINES["tensorflow"], "load", lambda: fails)
    notes = choose_engine(model, IMAGES[:4], "tensorflow").notes
    assert notes == ["engine tensorflow cannot run this network: NotImplementedError"]


def test_comparison():
    a = np.array([[3.0, 4.0]])
    assert compare([a], [a]) == (1.0, 0.0)
    assert compare([a], [a[:, ::-1]]) == pytest.approx((24 / 25, 0.25))
    assert compare([a], [a * np.nan]) == (0.0, float("inf"))
    assert compare([a, a], [a, -a])[0] == pytest.approx(-1)


def test_one_that_is_not_installed_is_said_before_tensorflow_is_loaded(recipe, monkeypatch):
    recipe["engine"] = "openvino"
    loaded = load_recipe(recipe)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError) as error:
        check_files(loaded)
    assert "'openvino' is not installed" in str(error.value.problems[0])
    assert "pip install 'tlkit[openvino]'" in error.value.problems[0].hint
    chosen = choose_engine(
        keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()]),
        IMAGES[:1, :4, :4],
        "openvino",
    )
    assert chosen.name == "keras"
    assert chosen.notes[0] == ("engine openvino is not installed: pip install 'tlkit[openvino]'")


def test_an_unknown_engine_is_named_with_its_line(recipe):
    recipe["engine"] = "openvno"
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe)
    assert "Did you mean 'openvino'?" in str(error.value.problems[0])


SIGNAL_AFTERWARDS = """
import gc, signal, threading
import keras, numpy as np
from tlkit.features.engines.openvino import openvino_float32

inputs = keras.Input((8, 8, 3))
model = keras.Model(inputs, keras.layers.ReLU()(inputs))
kept = [openvino_float32(model)]
kept[0](np.zeros((1, 8, 8, 3), "uint8"))
from tlkit.features.engines import openvino
openvino._CONVERTED.clear()


def drop():
    kept.clear()
    gc.collect()


thread = threading.Thread(target=drop)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *given: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_after_openvino_was_used_does_not_end_the_process():
    """With Python's traces on, its plugin's own signal stack was gone, and the process with it."""
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SIGNAL_AFTERWARDS],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_openvino_tells_nobody():
    """Its telemetry sends an event for every import and conversion, from a fork of the process."""
    code = """
import sys
import keras
from tlkit import registry
model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
registry.ENGINES.build("openvino-float32", keras.Model(model.inputs, model.outputs))
import openvino.tools.ovc.telemetry_utils as used
print(used.tm.__name__, sorted(name for name in sys.modules if name.startswith("openvino_telemetry.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "openvino.tools.ovc.telemetry_stub []", done.stderr[-500:]


@pytest.mark.parametrize("name", ["keras", "tensorflow", "openvino-float32"])
def test_weights_that_have_changed_since_are_seen(name):
    if "openvino" in name:
        pytest.importorskip("openvino")
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization()(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    pixels = IMAGES[:5, :16, :16]
    before = choose_engine(model, pixels, name)
    assert before.name == name
    for weight in model.weights:
        weight.assign(np.asarray(weight) + 0.5)
    after = choose_engine(model, pixels, name)
    expected = np.asarray(model(pixels.astype("float32"), training=False))
    assert (after.name, after.is_exact()) == (name, True)
    np.testing.assert_allclose(after.run(pixels)[0], expected, rtol=1e-4)
