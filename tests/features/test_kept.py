"""An engine kept in a run's folder against the one that was made."""

import os
import shutil

import keras
import numpy as np
import pytest

from tlkit import use

pytest.importorskip("openvino")


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run.folder, tmp_path / "run")


def predicted(run, photos, engine="openvino"):
    said = []
    rows = list(use.predict_files(run, [photos], 3, engine, said.append))
    return [row["top"] for row in rows], said


def load_nothing(*_, **__):
    raise AssertionError("the model was loaded")


@pytest.mark.parametrize("engine", ["openvino", "openvino-float32"])
def test_the_second_time_the_model_is_not_loaded(run, photos, monkeypatch, engine):
    made, said = predicted(run, photos, engine)
    assert said == [line for line in said if "kept" not in line]
    monkeypatch.setattr(keras.models, "load_model", load_nothing)
    kept, said = predicted(run, photos, engine)
    assert kept == made
    assert said[0].startswith(f"computed by engine {engine}, ") and "kept in" in said[0]


def test_two_precisions_share_a_file_and_neither_stands_for_the_other(run, photos, monkeypatch):
    predicted(run, photos, "openvino")
    other, said = predicted(run, photos, "openvino-float32")
    assert "kept" not in said[0]
    monkeypatch.setattr(keras.models, "load_model", load_nothing)
    assert predicted(run, photos, "openvino-float32")[0] == other
    predicted(run, photos, "openvino")
    assert sorted(os.listdir(run / "engine")) == ["engine.json", "model.bin", "model.xml"]


def test_the_engine_of_another_model_is_not_taken(run, photos):
    predicted(run, photos)
    model = keras.models.load_model(run / "model.keras", compile=False)
    head = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][-1]
    for weight in head.weights:
        weight.assign(-np.asarray(weight))
    model.save(run / "model.keras")
    changed, said = predicted(run, photos)
    assert "kept" not in said[0]
    assert changed == predicted(run, photos)[0]
    exact = predicted(run, photos, "keras")[0]
    assert [row[0][0] for row in changed] == [row[0][0] for row in exact]


@pytest.mark.parametrize("file", ["engine.json", "model.xml", "model.bin"])
def test_a_damaged_one_is_made_again(run, photos, file):
    made, _ = predicted(run, photos)
    (run / "engine" / file).write_bytes(b"")
    again, said = predicted(run, photos)
    assert again == made
    assert ("is made again" in said[0]) == (file != "engine.json")
    assert "kept in" in predicted(run, photos)[1][0]


def test_where_it_cannot_be_kept_it_predicts(run, photos, monkeypatch):
    from tlkit.features import kept

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.os, "replace", full)
    rows, _ = predicted(run, photos)
    assert rows and sorted(f.name for f in run.glob(".engine*")) == []
    assert not (run / "engine").exists()
