"""The fast path against Keras's GroupNormalization, and against float64 where that is not exact."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.layers import FusedGroupNormalization
from tlkit.layers.fused_group_normalization import can_fuse_group

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (4, 6, 5, 12)).astype("float32")
WEIGHTS = RNG.normal(size=X.shape).astype("float32")


def pair(shape=X.shape, **options):
    plain = keras.layers.GroupNormalization(**options)
    plain.build(shape)
    for v in plain.weights:
        v.assign(np.random.default_rng(1).uniform(-1, 2, v.shape))
    fused = FusedGroupNormalization.from_config(plain.get_config())
    fused.build(shape)
    fused.set_weights(plain.get_weights())
    return plain, fused


def gradients(layer, x, weight):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x) * weight)
    return tape.gradient(total, [x, *[v.value for v in layer.trainable_variables]])


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
@pytest.mark.parametrize("groups", [1, 3, 12, -1])
def test_values_and_gradients_are_those_of_keras(groups, options):
    plain, fused = pair(groups=groups, **options)
    assert can_fuse_group(fused)
    np.testing.assert_allclose(plain(X), fused(X), rtol=1e-4, atol=1e-5)
    for a, b in zip(gradients(plain, X, WEIGHTS), gradients(fused, X, WEIGHTS), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("shape", [(4, 12), (4, 7, 12), (2, 3, 4, 5, 12)])
def test_other_ranks_and_axes(shape):
    x = RNG.normal(size=shape).astype("float32")
    plain, fused = pair(shape, groups=3)
    np.testing.assert_allclose(plain(x), fused(x), rtol=1e-4, atol=1e-5)
    plain, fused = pair((4, 6, 5, 12), groups=3, axis=1)
    assert not can_fuse_group(fused)
    np.testing.assert_allclose(plain(X), fused(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mean", [30.0, 1e3, 1e5])
def test_large_means_lose_nothing(mean):
    x = (RNG.normal(0, 1, (2, 40, 40, 4)) + mean).astype("float32")
    fused = FusedGroupNormalization(2, epsilon=1e-6)
    got = np.asarray(fused(x))
    # what float32 images themselves cannot tell apart is no fault of the layer
    grain = np.spacing(np.float32(mean))
    exact = x.astype("float64").reshape(2, 40, 40, 2, 2)
    deviation = exact.std((1, 2, 4), keepdims=True)
    exact = ((exact - exact.mean((1, 2, 4), keepdims=True)) / deviation).reshape(x.shape)
    assert np.abs(got - exact).max() < 1e-4 + 8 * grain
    # E[x^2] - E[x]^2 in float32 would not do
    if mean > 1e4:
        naive = (x**2).mean((1, 2)) - x.mean((1, 2)) ** 2
        assert np.abs(naive - 1).max() > 0.5


def test_constant_images_give_the_offset_and_finite_gradients():
    for value in (0.0, 5.0, 1e4):
        fused = FusedGroupNormalization(3)
        x = np.full_like(X, value)
        np.testing.assert_allclose(fused(x), 0, atol=0.05)
        assert all(np.isfinite(g).all() for g in gradients(fused, x, WEIGHTS))


def test_half_precision_does_not_overflow():
    x = (X * 5e3).astype("float16")
    fused = FusedGroupNormalization(3, dtype="mixed_float16")
    got = fused(x)
    assert got.dtype == tf.float16
    np.testing.assert_allclose(
        got, keras.layers.GroupNormalization(3)(x.astype("float32")), atol=2e-2
    )


@pytest.mark.parametrize("shape", [(4, 7, 12), (4, 6, 5, 12)])
def test_a_mask_leaves_places_out_of_the_statistics(shape):
    x = RNG.normal(size=shape).astype("float32")
    mask = np.zeros(shape[:2], bool)
    mask[:, :4] = True
    x[:, 4:] = 1e3
    plain, fused = pair((shape[0], 4, *shape[2:]), groups=3)
    fused_wide = FusedGroupNormalization.from_config(fused.get_config())
    fused_wide.build(shape)
    fused_wide.set_weights(fused.get_weights())
    np.testing.assert_allclose(
        np.asarray(fused_wide(x, mask=mask))[:, :4], plain(x[:, :4]), rtol=1e-4, atol=1e-4
    )
    nothing = fused_wide(x, mask=np.zeros_like(mask))
    assert np.isfinite(nothing).all()


def test_keras_hands_it_the_mask_of_an_embedding():
    inputs = keras.Input((None, 4))
    masked = keras.layers.Masking()(inputs)
    model = keras.Model(inputs, FusedGroupNormalization(2)(masked))
    x = RNG.normal(size=(2, 6, 4)).astype("float32")
    x[:, 3:] = 0
    np.testing.assert_allclose(
        model(x)[:, :3], keras.layers.GroupNormalization(2)(x[:, :3]), rtol=1e-4, atol=1e-4
    )


def test_files_are_interchangeable(tmp_path):
    def network(kind):
        inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, kind(4)(keras.layers.Conv2D(8, 3)(inputs)))

    fused, plain = network(FusedGroupNormalization), network(keras.layers.GroupNormalization)
    fused.layers[-1].gamma.assign(np.arange(8.0))
    plain.set_weights(fused.get_weights())
    images = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(fused(images), plain(images), atol=1e-5)
    fused.save(tmp_path / "x.keras")
    again = keras.models.load_model(tmp_path / "x.keras")
    assert type(again.layers[-1]) is FusedGroupNormalization
    np.testing.assert_array_equal(fused(images), again(images))


def test_it_compiles_and_trains_in_fit_with_xla_and_without():
    for compiled in (False, True):
        inputs = keras.Input((8, 8, 3))
        x = FusedGroupNormalization(2)(keras.layers.Conv2D(4, 3)(inputs))
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling2D()(x)))
        model.compile("sgd", "mse", jit_compile=compiled)
        images = RNG.normal(size=(8, 8, 8, 3)).astype("float32")
        first, last = model.fit(images, np.ones(8), epochs=12, verbose=0).history["loss"][::11]
        assert last < first
