"""Every loss against its formula, with ids, one-hot and soft labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit import losses, registry
from tlkit.losses.class_weights import effective_number, inverse_frequency

RNG = np.random.default_rng(0)
CLASSES = 4
LOGITS = RNG.normal(0, 3, (7, CLASSES)).astype("float32")
IDS = RNG.integers(0, CLASSES, 7)
SOFT = RNG.dirichlet(np.ones(CLASSES), 7).astype("float32")
ONE_HOT = np.eye(CLASSES, dtype="float32")[IDS]
COUNTS = np.array([100, 10, 5, 1])


def log_softmax(z):
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def hinge(y, z):
    return np.maximum(0, 1 + ((1 - y) * z).max(1) - (y * z).sum(1))


FORMULAS = {
    "cross_entropy": lambda y, z: -(y * log_softmax(z)).sum(1),
    "focal": lambda y, z: -(y * (1 - np.exp(log_softmax(z))) ** 2 * log_softmax(z)).sum(1),
    "logit_adjustment": lambda y, z: -(y * log_softmax(z + np.log(COUNTS / COUNTS.sum()))).sum(1),
    "flooding": lambda y, z: abs(-(y * log_softmax(z)).sum(1).mean() - 0.05) + 0.05,
    "hinge": hinge,
}


def make(name, **arguments):
    return registry.LOSSES.make(name, {"class_counts": COUNTS}, **arguments)


def test_every_loss_has_its_formula_here():
    assert set(FORMULAS) == set(registry.LOSSES)


@pytest.mark.parametrize("name", registry.LOSSES)
def test_it_is_its_formula_for_one_hot_and_soft_labels(name):
    for labels in (ONE_HOT, SOFT):
        if labels is SOFT and registry.LOSSES[name].facts.get("soft_labels") is False:
            continue
        expected = np.mean(FORMULAS[name](labels.astype("float64"), LOGITS.astype("float64")))
        np.testing.assert_allclose(make(name)(labels, LOGITS), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["focal", "logit_adjustment"])
def test_class_ids_give_the_same_as_one_hot_labels(name):
    expected = make(name)(ONE_HOT, LOGITS)
    for ids in (IDS, IDS[:, None], IDS.astype("float32")):
        np.testing.assert_allclose(make(name)(ids, LOGITS), expected, rtol=1e-6)


@pytest.mark.parametrize("name", registry.LOSSES)
def test_its_gradient_is_the_slope_of_its_values(name):
    loss, direction, h = make(name), RNG.normal(size=LOGITS.shape), 1e-3
    with tf.GradientTape() as tape:
        at = tf.constant(LOGITS)
        tape.watch(at)
        value = loss(ONE_HOT, at)
    slope = (np.asarray(tape.gradient(value, at)) * direction).sum()
    ahead, behind = (np.mean(FORMULAS[name](ONE_HOT, LOGITS + s * h * direction)) for s in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", registry.LOSSES)
def test_sample_weights_and_saving(name):
    loss, weights = make(name), np.linspace(0.2, 2, 7).astype("float32")
    each = FORMULAS[name](ONE_HOT, LOGITS) if name != "flooding" else None
    if each is not None:
        got = loss(ONE_HOT, LOGITS, sample_weight=weights)
        np.testing.assert_allclose(got, (each * weights).mean(), rtol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_allclose(again(ONE_HOT, LOGITS), loss(ONE_HOT, LOGITS), rtol=1e-6)


@pytest.mark.parametrize("name", registry.LOSSES)
@pytest.mark.parametrize("kind", ["ids", "one-hot", "soft"])
def test_plain_fit_shows_the_accuracy_of_the_most_probable_class(name, kind):
    native = "native" in registry.LOSSES[name].facts or name == "flooding"
    if kind == "ids" and native:
        pytest.skip("Keras's own losses have another name for ids")
    if kind == "soft" and registry.LOSSES[name].facts.get("soft_labels") is False:
        pytest.skip("has no meaning for soft labels")
    labels = {"ids": IDS, "one-hot": ONE_HOT, "soft": SOFT}[kind]
    best = labels if kind == "ids" else labels.argmax(1)
    model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Activation("linear")])
    model.compile(loss=make(name), metrics=["accuracy"])
    found = model.evaluate(LOGITS, labels, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx((LOGITS.argmax(1) == best).mean())


def test_focal_at_gamma_0_is_cross_entropy_and_at_2_keras_own():
    exact = keras.losses.CategoricalCrossentropy(from_logits=True)(ONE_HOT, LOGITS)
    np.testing.assert_allclose(losses.Focal(gamma=0.0)(IDS, LOGITS), exact, rtol=1e-6)
    small = LOGITS / 4  # Keras clips probabilities near 0 and 1
    own = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0, from_logits=True)
    np.testing.assert_allclose(
        losses.Focal(gamma=2.0, alpha=0.25)(IDS, small), own(ONE_HOT, small), rtol=1e-5
    )


def test_focal_weighs_classes_by_alpha():
    alpha = [1.0, 2.0, 3.0, 4.0]
    each = FORMULAS["focal"](ONE_HOT, LOGITS) * np.array(alpha)[IDS]
    np.testing.assert_allclose(losses.Focal(alpha=alpha)(IDS, LOGITS), each.mean(), rtol=1e-5)
    with pytest.raises(ValueError, match="alpha has 2 values for 4 classes"):
        losses.Focal(alpha=[1.0, 2.0])(IDS, LOGITS)


@pytest.mark.parametrize("loss", ["focal", "logit_adjustment"])
def test_label_smoothing_spreads_the_target(loss):
    smooth = ONE_HOT * 0.8 + 0.2 / CLASSES
    got = make(loss, label_smoothing=0.2)(IDS, LOGITS)
    np.testing.assert_allclose(got, FORMULAS[loss](smooth, LOGITS).mean(), rtol=1e-5)


def test_flooding_turns_the_gradient_round_below_its_level():
    high, low = losses.Flooding(level=0.01), losses.Flooding(level=50.0)
    gradients = []
    for loss in (high, low, make("cross_entropy")):
        with tf.GradientTape() as tape:
            at = tf.constant(LOGITS)
            tape.watch(at)
            value = loss(ONE_HOT, at)
        gradients.append(np.asarray(tape.gradient(value, at)))
    above, below, plain = gradients
    np.testing.assert_allclose(above, plain, rtol=1e-6)
    np.testing.assert_allclose(below, -plain, rtol=1e-6)


def test_logit_adjustment_with_like_counts_is_cross_entropy():
    got = losses.LogitAdjusted([5, 5, 5, 5])(IDS, LOGITS)
    np.testing.assert_allclose(got, make("cross_entropy")(ONE_HOT, LOGITS), rtol=1e-6)


def test_effective_number_follows_the_paper():
    # Cui et al. 2019: E_n = (1 - beta^n) / (1 - beta), weights 1 / E_n scaled to sum to K
    numbers = np.array([(1 - 0.9**n) / (1 - 0.9) for n in COUNTS])
    expected = (1 / numbers) / (1 / numbers).sum() * 4
    np.testing.assert_allclose(effective_number(COUNTS, 0.9), expected, rtol=1e-6)
    np.testing.assert_allclose(effective_number(COUNTS, 0.0), 1.0)
    inverse = inverse_frequency(COUNTS)
    np.testing.assert_allclose(inverse * COUNTS, inverse[0] * 100, rtol=1e-6)
    assert (inverse * COUNTS).sum() / COUNTS.sum() == pytest.approx(1.0)
    near = effective_number(COUNTS, 1 - 1e-9)
    np.testing.assert_allclose(near / near.sum(), inverse / inverse.sum(), rtol=1e-3)
    with pytest.raises(ValueError, match=r"1\.0"):
        effective_number(COUNTS, 1.0)


@pytest.mark.parametrize(
    ("make_bad", "text"),
    [
        (lambda: losses.Focal(gamma=-1.0), "-1.0"),
        (lambda: losses.Focal(label_smoothing=1.0), "1.0"),
        (lambda: losses.LogitAdjusted([3, 0]), "0.0"),
        (lambda: losses.LogitAdjusted([3, 1], tau=-2.0), "-2.0"),
        (lambda: losses.Flooding(level=-0.5), "-0.5"),
        (lambda: losses.Flooding(loss=losses.Focal(reduction="none")), "none"),
        (lambda: losses.Focal()(np.zeros((7, 3)), LOGITS), r"\(7, 3\)"),
    ],
)
def test_bad_arguments_are_repeated_in_the_error(make_bad, text):
    with pytest.raises(ValueError, match=text):
        make_bad()
