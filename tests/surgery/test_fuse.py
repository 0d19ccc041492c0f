"""The fast kernels against Keras's own BatchNormalization and GroupNormalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.layers import FusedBatchNormalization
from tlkit.surgery import fuse, unfuse
from tlkit.surgery.fuse import can_fuse, fuse_in_place


def layer(**options):
    new = keras.layers.BatchNormalization(momentum=0.7, epsilon=1e-3, **options)
    new.build((None, 5, 6, 4))
    rng = np.random.default_rng(0)
    for v in new.weights:
        v.assign(rng.uniform(0.5, 2.0, v.shape))
    return new


def pass_through(bn, x, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = bn(x, training=training)
        loss = tf.reduce_sum(y * tf.constant(WEIGHTS))
    gradients = tape.gradient(loss, [x, *[v.value for v in bn.trainable_variables]])
    return y, gradients, [np.asarray(v) for v in bn.non_trainable_variables]


X = np.random.default_rng(1).normal(3, 2, (8, 5, 6, 4)).astype("float32")
WEIGHTS = np.random.default_rng(2).normal(size=X.shape).astype("float32")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_values_gradients_and_statistics_are_those_of_keras(training, options):
    plain, fused = layer(**options), layer(**options)
    assert can_fuse(fused)
    fuse_in_place(fused, frozen=False)
    a, b = (pass_through(bn, tf.constant(X), training) for bn in (plain, fused))
    np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-5)
    for x, y in zip(a[1], b[1], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-4)
    for x, y in zip(a[2], b[2], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_frozen_it_ignores_training_and_is_undone():
    bn = layer()
    release = fuse_in_place(bn, frozen=True)
    before = [np.asarray(v) for v in bn.weights]
    expected = layer()(X, training=False)
    np.testing.assert_allclose(bn(X, training=True), expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(before, bn.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    release()
    assert "call" not in vars(bn)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_the_layer_is_interchangeable_with_that_of_keras(training, options, tmp_path):
    plain = layer(**options)
    fused = FusedBatchNormalization.from_config(plain.get_config())
    fused.build((None, 5, 6, 4))
    fused.set_weights(plain.get_weights())
    assert [v.name for v in fused.weights] == [v.name for v in plain.weights]
    assert fused.get_config() == plain.get_config()
    a, b = (pass_through(bn, tf.constant(X), training) for bn in (plain, fused))
    np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-5)
    for x, y in zip(a[1] + a[2], b[1] + b[2], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 4), (6, 2, 3, 4, 4)])
def test_the_layer_takes_other_ranks_masks_and_axes_as_keras_does(shape):
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    plain, fused = keras.layers.BatchNormalization(), FusedBatchNormalization()
    np.testing.assert_allclose(plain(x, training=True), fused(x, training=True), atol=1e-5)
    mask = np.ones(X.shape[:-1], bool)
    mask[:, 0] = False
    plain, fused = keras.layers.BatchNormalization(), FusedBatchNormalization()
    np.testing.assert_allclose(
        plain(X, training=True, mask=mask), fused(X, training=True, mask=mask), atol=1e-5
    )
    plain, fused = (c(axis=1) for c in (keras.layers.BatchNormalization, FusedBatchNormalization))
    np.testing.assert_allclose(plain(X, training=True), fused(X, training=True), atol=1e-5)
    plain, fused = (
        c(renorm=True) for c in (keras.layers.BatchNormalization, FusedBatchNormalization)
    )
    np.testing.assert_allclose(plain(X, training=True), fused(X, training=True), atol=1e-4)


def test_a_layer_that_is_not_trainable_keeps_its_statistics():
    fused = FusedBatchNormalization()
    fused.build((None, 5, 6, 4))
    fused.trainable = False
    before = [np.array(v) for v in fused.weights]
    fused(X, training=True)
    for a, b in zip(before, fused.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_fused_and_unfused_is_the_same(tmp_path):
    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    )
    x = keras.layers.BatchNormalization(name="outer")(keras.layers.Conv2D(4, 1)(inputs))
    model = keras.Model(inputs, inner(x))
    for v in model.weights:
        v.assign(np.random.default_rng(3).uniform(0.5, 2, v.shape))
    images = np.random.default_rng(4).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = model(images)
    fused = fuse(model)
    assert type(fused.get_layer("outer")) is FusedBatchNormalization
    assert type(model.get_layer("outer")) is keras.layers.BatchNormalization
    np.testing.assert_allclose(fused(images), expected, rtol=1e-4, atol=1e-5)
    back = unfuse(fused)
    assert type(back.get_layer("outer")) is keras.layers.BatchNormalization
    np.testing.assert_array_equal(back(images), expected)
    # Keras names groups in a file of weights by the class, so files are those of its own layers
    back.save_weights(tmp_path / "x.weights.h5")
    model.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_array_equal(model(images), expected)


def test_other_axes_and_ranks_are_left_to_keras():
    channels_first = keras.layers.BatchNormalization(axis=1)
    channels_first.build((None, 4, 5, 6))
    flat = keras.layers.BatchNormalization()
    flat.build((None, 4))
    assert not can_fuse(channels_first)
    assert not can_fuse(flat)
    assert not can_fuse(keras.layers.BatchNormalization())
    over_devices = keras.layers.BatchNormalization(synchronized=True)
    over_devices.build((None, 4, 5, 6))
    assert not can_fuse(over_devices)


def test_half_precision_keeps_its_type():
    bn = keras.layers.BatchNormalization(dtype="mixed_float16")
    bn.build((None, 5, 6, 4))
    fuse_in_place(bn, frozen=False)
    assert bn(X.astype("float16"), training=True).dtype == tf.float16
