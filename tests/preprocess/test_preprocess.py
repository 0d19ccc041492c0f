import keras
import numpy as np
import pytest

from tlkit.preprocess import MinMax, Whitening, ZeroCenter

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(3, 3)) * 20
IMAGES = np.clip(RNG.normal(size=(40, 6, 5, 3)) @ MIX + 128, 0, 255).astype("float32")
BATCHES = [IMAGES[:25], IMAGES[25:]]


def test_zero_centring_leaves_mean_zero():
    channel, image = ZeroCenter(mean="channel"), ZeroCenter(mean="image")
    for layer in (channel, image):
        layer.adapt(BATCHES)
    np.testing.assert_allclose(np.asarray(channel(IMAGES)).mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(np.asarray(image(IMAGES)).mean(0), 0, atol=1e-3)
    assert np.abs(np.asarray(channel(IMAGES)).mean(0)).max() > 0.1


@pytest.mark.parametrize("method", ["zca", "pca"])
@pytest.mark.parametrize("over", ["color", "image"])
def test_whitened_images_have_identity_covariance(method, over):
    many = RNG.normal(size=(4000, 2, 3, 3)) @ MIX * 0.3 + 128
    layer = Whitening(method=method, over=over, epsilon=1e-9)
    layer.adapt([many[:1500], many[1500:]])
    white = np.asarray(layer(many.astype("float32")), "float64")
    rows = white.reshape(-1, 3) if over == "color" else white.reshape(len(white), -1)
    np.testing.assert_allclose(np.cov(rows.T, bias=True), np.eye(rows.shape[1]), atol=2e-3)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-3)


def test_zca_is_the_symmetric_whitening():
    layer = Whitening(epsilon=1e-9)
    layer.adapt(BATCHES)
    matrix = np.asarray(layer.matrix)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-4, atol=1e-5)
    # Bell and Sejnowski 1997: the inverse square root of the covariance
    pixels = IMAGES.reshape(-1, 3).astype("float64") / 255
    square = matrix @ matrix @ np.cov(pixels.T, bias=True)
    np.testing.assert_allclose(square, np.eye(3), atol=1e-3)


def test_whitening_of_large_images_is_refused():
    with pytest.raises(ValueError, match="at most 6912 values"):
        Whitening(over="image").adapt([np.zeros((2, 64, 64, 3))])


def test_min_max_stretches_to_the_whole_range():
    dull = IMAGES * 0.3 + 60
    layer = MinMax()
    layer.adapt([dull])
    got = np.asarray(layer(np.rint(dull)))
    np.testing.assert_allclose(got.min((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(got.max((0, 1, 2)), 255, atol=1e-3)


def test_a_tail_keeps_hot_pixels_from_setting_the_range():
    spoilt = np.full((1, 100, 100, 1), 100.0)
    spoilt[0, :50] = 50
    spoilt[0, 0, :5], spoilt[0, 1, :5] = 0, 255
    plain, robust = MinMax(), MinMax(tail=0.01)
    for layer in (plain, robust):
        layer.adapt([spoilt])
    assert (float(plain.low[0]), float(plain.high[0])) == (0, 255)
    assert (float(robust.low[0]), float(robust.high[0])) == (50, 100)


def test_a_channel_of_one_value_stays_finite():
    layer = MinMax()
    layer.adapt([np.full((2, 3, 3, 1), 7.0)])
    assert np.isfinite(np.asarray(layer(np.full((2, 3, 3, 1), 7.0)))).all()


def test_statistics_survive_set_weights():
    layer = ZeroCenter(mean="image")
    layer.adapt(BATCHES)
    inputs = keras.Input((6, 5, 3))
    model = keras.Model(inputs, layer(inputs))
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))
