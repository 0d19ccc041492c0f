"""Fast passes of a finished model against Keras's own."""

import keras
import numpy as np
import pytest

from tlkit.evaluate import forward
from tlkit.evaluate.forward import make_fast_forward, make_forward

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3)).astype("uint8")


@pytest.fixture(scope="module")
def model():
    """A finished network: a backbone as a layer of it, a head, random weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3))
    base = keras.applications.MobileNetV2(
        alpha=0.35, weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg"
    )
    features = base(keras.layers.Rescaling(1 / 127.5, -1.0)(image))
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.Dropout(0.2)(features)))


def test_few_images_are_not_worth_another_engine(model):
    said = []
    run = make_fast_forward(model, IMAGES, 100, say=said.append)
    assert not said
    np.testing.assert_array_equal(run(IMAGES), make_forward(model)(IMAGES))


def test_many_are_and_auto_takes_one_that_only_rounds(model):
    said = []
    run = make_fast_forward(model, IMAGES, 100_000, say=said.append)
    expected = np.asarray(make_forward(model)(IMAGES))
    np.testing.assert_allclose(run(IMAGES), expected, atol=1e-3 * np.abs(expected).max())
    assert "float32" in said[-1]
    assert "keras" not in said[-1]


def test_one_that_errs_more_is_not_taken_for_an_exact_one(model, monkeypatch):
    monkeypatch.setattr("tlkit.features.engine.EXACT_DIFFERENCE", -1.0)
    said = []
    run = make_fast_forward(model, IMAGES, 100_000, say=said.append)
    assert all("does not agree" in line for line in said[:-1])
    assert said[-1] == "computed by engine keras"
    np.testing.assert_array_equal(run(IMAGES)[:3], np.asarray(make_forward(model)(IMAGES))[:3])


def test_keras_can_be_asked_for(model, monkeypatch):
    monkeypatch.setattr(forward, "choose_engine", None)  # must not be called
    make_fast_forward(model, IMAGES, 100_000, "keras")
