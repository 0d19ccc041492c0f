"""Losses of several labels an image, against their formulas and Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit import losses, registry

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (7, 4)).astype("float32")
SETS = (RNG.random((7, 4)) < 0.4).astype("float32")
SHARES = RNG.random((7, 4)).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype("float64")))


def asymmetric(y, z, positive=1.0, negative=4.0, margin=0.05):
    p = sigmoid(z)
    moved = np.maximum(p - margin, 0)
    terms = y * (1 - p) ** positive * np.log(p) + (1 - y) * moved**negative * np.log(1 - moved)
    return -terms.mean(1)


def focal(y, z, gamma=2.0, alpha=None):
    p = sigmoid(z)
    yes, no = (1, 1) if alpha is None else (alpha, 1 - alpha)
    terms = yes * y * (1 - p) ** gamma * np.log(p)
    return -(terms + no * (1 - y) * p**gamma * np.log(1 - p)).mean(1)


FORMULAS = {
    "binary_cross_entropy": lambda y, z: focal(y, z, gamma=0),
    "binary_focal": focal,
    "asymmetric": asymmetric,
}
NAMES = [n for n in registry.LOSSES if registry.LOSSES[n].facts.tasks == "multi-label"]


def test_every_loss_has_its_formula_here():
    assert set(NAMES) == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_it_is_its_formula_and_weighs_images(name):
    loss = registry.LOSSES.build(name)
    weights = np.linspace(0.2, 2, 7)
    for labels in (SETS, SHARES):
        each = FORMULAS[name](labels, LOGITS)
        np.testing.assert_allclose(loss(labels, LOGITS), each.mean(), rtol=1e-5)
        weighed = loss(labels, LOGITS, sample_weight=weights)
        np.testing.assert_allclose(weighed, (each * weights).mean(), rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_allclose(again(SETS, LOGITS), loss(SETS, LOGITS), rtol=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_its_gradient_is_the_slope_of_its_values(name):
    direction, h = RNG.normal(size=LOGITS.shape), 1e-4
    with tf.GradientTape() as tape:
        at = tf.constant(LOGITS)
        tape.watch(at)
        value = registry.LOSSES.build(name)(SETS, at)
    slope = (np.asarray(tape.gradient(value, at)) * direction).sum()
    wide = LOGITS.astype("float64")
    ahead, behind = (FORMULAS[name](SETS, wide + s * h * direction).mean() for s in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_far_off_logits_keep_their_slope(name):
    """A class that is wrongly ruled out, as surely as can be, is still learned."""
    with tf.GradientTape() as tape:
        at = tf.constant([[-60.0, 60.0]])
        tape.watch(at)
        value = registry.LOSSES.build(name)(np.ones((1, 2), "float32"), at)
    slope = np.asarray(tape.gradient(value, at))
    assert np.isfinite(value)
    assert slope[0, 0] == pytest.approx(-0.5, rel=1e-3)
    assert abs(slope[0, 1]) < 1e-6


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["binary_focal", "asymmetric"])
def test_half_precision_logits_are_computed_in_float32(name, kind):
    logits = tf.cast(LOGITS, kind)
    expected = FORMULAS[name](SETS, np.asarray(tf.cast(logits, "float32"))).mean()
    np.testing.assert_allclose(registry.LOSSES.build(name)(SETS, logits), expected, rtol=1e-5)


def test_their_arguments():
    found = losses.Asymmetric(gamma_positive=0.5, gamma_negative=2, margin=0.2)(SETS, LOGITS)
    np.testing.assert_allclose(found, asymmetric(SETS, LOGITS, 0.5, 2, 0.2).mean(), rtol=1e-5)
    plain = losses.Asymmetric(gamma_positive=0, gamma_negative=0, margin=0)(SETS, LOGITS)
    keras_own = keras.losses.BinaryCrossentropy(from_logits=True)(SETS, LOGITS)
    np.testing.assert_allclose(plain, keras_own, rtol=1e-6)
    keras_own = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.3, gamma=1.5, from_logits=True
    )(SETS, LOGITS)
    found = losses.BinaryFocal(alpha=0.3, gamma=1.5)(SETS, LOGITS)
    np.testing.assert_allclose(found, keras_own, rtol=1e-5)
    smoothed = focal(SETS * 0.8 + 0.1, LOGITS, 1.5).mean()
    found = losses.BinaryFocal(gamma=1.5, label_smoothing=0.2)(SETS, LOGITS)
    np.testing.assert_allclose(found, smoothed, rtol=1e-5)
    assert type(losses.binary_cross_entropy(label_smoothing=0.1)).__name__ == "BinaryCrossentropy"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Asymmetric(margin=1.0), "margin"),
        (lambda: losses.Asymmetric(gamma_negative=-1), "gamma_negative"),
        (lambda: losses.BinaryFocal(alpha=2), "alpha"),
        (lambda: losses.BinaryFocal(gamma=float("nan")), "gamma"),
        (lambda: losses.BinaryFocal(label_smoothing=1), "label_smoothing"),
    ],
)
def test_arguments_outside_their_limits_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", FORMULAS)
def test_it_trains_in_plain_keras(name):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(256, 6)).astype("float32")
    y = (x[:, :3] > 0.3).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.05), loss=registry.LOSSES.build(name))
    model.fit(x, y, epochs=15, batch_size=32, verbose=0)
    assert ((model.predict(x, verbose=0) > 0) == y).mean() > 0.85
