"""An engine kept beside its model against the one that was made."""

import shutil

import keras
import numpy as np
import pytest

from tests.conftest import Listener
from tlkit.errors import RunError
from tlkit.features import engine_cache
from tlkit.features.engine import choose_engine
from tlkit.features.engine_cache import keep_engine, kept_engine
from tlkit.runs.predict import predict_files

pytest.importorskip("openvino")

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3)).astype("uint8")


@pytest.fixture(scope="module")
def model():
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3)(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def place(model, tmp_path):
    """A model's file, and the folder in which an engine of it is kept."""
    model.save(tmp_path / "model.keras")
    keep_engine(
        choose_engine(model, IMAGES, "openvino-float32"),
        tmp_path / "model.keras",
        tmp_path / "engine",
        print,
    )
    return tmp_path


def read(place, wanted="openvino-float32", exact=False):
    said = []
    found = kept_engine(place / "model.keras", place / "engine", wanted, exact, said.append)
    return found, said


def test_it_computes_the_same_and_says_what_was_compared(model, place):
    made = choose_engine(model, IMAGES, "openvino-float32")
    found, said = read(place)
    np.testing.assert_array_equal(found.run(IMAGES)[0], made.run(IMAGES)[0])
    assert (str(found), said) == (str(made), [])
    assert str(read(place, "auto", exact=True)[0]) == str(made)
    files = sorted(f.name for f in (place / "engine").iterdir())
    assert files == ["engine.json", "model.bin", "model.xml"]


def test_one_precision_does_not_stand_for_another(model, place):
    for wanted in ("openvino", "auto", "tensorflow", "keras"):
        assert read(place, wanted) == (None, [])
    made = choose_engine(model, IMAGES, "openvino")
    keep_engine(made, place / "model.keras", place / "engine", print)
    assert read(place, "openvino")[0].name == "openvino"
    assert read(place)[0].name == "openvino-float32"


def test_that_of_another_model_is_not_taken(place):
    with open(place / "model.keras", "ab") as file:
        file.write(b" ")
    assert read(place) == (None, [])


@pytest.mark.parametrize("file", ["engine.json", "model.xml", "model.bin"])
def test_a_damaged_one_is_not_taken(place, file):
    (place / "engine" / file).write_bytes(b"")
    found, said = read(place)
    assert found is None
    assert [line for line in said if "cannot be read" in line] == said
    assert len(said) == (file != "engine.json")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("Can't open bin file.")]
)
def test_where_there_is_no_room_none_is_kept_and_it_is_said(model, place, monkeypatch, error):
    def full(*_):
        raise error

    engine = choose_engine(model, IMAGES, "openvino-float32")
    monkeypatch.setattr(engine_cache.os, "replace", full)
    said = []
    keep_engine(engine, place / "model.keras", place / "other", said.append)
    reason = getattr(error, "strerror", None) or str(error)
    assert said == [
        f"the engine is not kept in {place / 'other'} ({reason}), and will be made again next time"
    ]
    assert sorted(f.name for f in place.iterdir()) == ["engine", "model.keras"]


def test_predicting_again_needs_no_model(tiny_run, photos, tmp_path, monkeypatch):
    run = shutil.copytree(tiny_run.folder, tmp_path / "run")
    said = []
    made = list(predict_files(run, [photos], 3, "openvino", Listener(said)))
    assert "kept" not in said[0]

    def none(*_, **__):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(keras.models, "load_model", none)
    assert list(predict_files(run, [photos], 3, "openvino", Listener(said))) == made
    assert said[1].startswith("computed by engine openvino") and "kept in" in said[1]
    labels = run / "labels.txt"
    labels.write_text(labels.read_text() + "one more\n")
    with pytest.raises(RunError, match=r"labels\.txt names"):
        list(predict_files(run, [photos], 3, "openvino"))
