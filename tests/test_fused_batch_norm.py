"""The fused kernel against Keras's own BatchNormalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.fused_batch_norm import can_fuse, fuse


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
    fuse(fused, frozen=False)
    a, b = (pass_through(bn, tf.constant(X), training) for bn in (plain, fused))
    np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-5)
    for x, y in zip(a[1], b[1], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-4)
    for x, y in zip(a[2], b[2], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


def test_frozen_it_ignores_training_and_is_undone():
    bn = layer()
    release = fuse(bn, frozen=True)
    before = [np.asarray(v) for v in bn.weights]
    expected = layer()(X, training=False)
    np.testing.assert_allclose(bn(X, training=True), expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(before, bn.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    release()
    assert "call" not in vars(bn)


def test_other_axes_and_ranks_are_left_to_keras():
    channels_first = keras.layers.BatchNormalization(axis=1)
    channels_first.build((None, 4, 5, 6))
    flat = keras.layers.BatchNormalization()
    flat.build((None, 4))
    assert not can_fuse(channels_first)
    assert not can_fuse(flat)
    assert not can_fuse(keras.layers.BatchNormalization())


def test_half_precision_keeps_its_type():
    bn = keras.layers.BatchNormalization(dtype="mixed_float16")
    bn.build((None, 5, 6, 4))
    fuse(bn, frozen=False)
    assert bn(X.astype("float16"), training=True).dtype == tf.float16
