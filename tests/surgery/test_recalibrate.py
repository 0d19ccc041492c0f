import keras
import numpy as np
import pytest

from tlkit.surgery import recalibrate_batch_norm

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(3, 2, (24, 8, 8, 3)).astype("float32")


def network():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm_1")(x)
    x = keras.layers.Conv2D(4, 3, name="second")(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.BatchNormalization(name="norm_2")(x))


def test_the_statistics_are_those_of_all_images_whatever_the_batches():
    model = network()
    before = [np.array(v) for v in model.weights]
    a = recalibrate_batch_norm(model, IMAGES)
    b = recalibrate_batch_norm(model, IMAGES, batch_size=5)
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
    first = np.asarray(keras.Model(a.input, a.get_layer("first").output)(IMAGES))
    np.testing.assert_allclose(a.get_layer("norm_1").moving_mean, first.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(
        a.get_layer("norm_1").moving_variance, first.var((0, 1, 2)), rtol=1e-3
    )
    # at inference every channel now has mean 0 and variance 1
    out = np.asarray(a(IMAGES))
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(out.var((0, 1, 2)), 1, atol=1e-2)
    # one batch of everything in training mode has the same statistics in every layer
    np.testing.assert_allclose(out, model(IMAGES, training=True), atol=1e-3)
    untouched = network()
    untouched.set_weights(before)
    np.testing.assert_allclose(a.get_weights()[0], before[0])


def test_large_means_lose_nothing():
    model = recalibrate_batch_norm(network(), IMAGES + 1e4)
    out = np.asarray(keras.Model(model.input, model.get_layer("norm_1").output)(IMAGES + 1e4))
    np.testing.assert_allclose(out.var((0, 1, 2)), 1, atol=2e-2)


def test_what_cannot_be_recalibrated_is_said():
    with pytest.raises(ValueError, match="no images"):
        recalibrate_batch_norm(network(), IMAGES[:0])
    inputs = keras.Input((8, 8, 3))
    plain = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs), name="plain")
    with pytest.raises(ValueError, match="'plain' has no BatchNorm"):
        recalibrate_batch_norm(plain, IMAGES)
    with pytest.raises(ValueError, match=r"images of shape \(9, 8, 3\) do not fit .* \(8, 8, 3\)"):
        recalibrate_batch_norm(network(), np.zeros((2, 9, 8, 3)))


def test_nested_models_are_opened():
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, keras.layers.ReLU()(network()(inputs)))
    inner = recalibrate_batch_norm(outer, IMAGES).layers[1]
    alone = recalibrate_batch_norm(outer.layers[1], IMAGES)
    for x, y in zip(inner.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)
