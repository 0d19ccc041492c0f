"""One update of a batch that is computed in parts, against that of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.recipe.schema import Adversarial, Component
from tlkit.tasks.classification import Classification
from tlkit.train.regularize import Regularization
from tlkit.train.step import Objective, Step, make_loss

IMAGES = np.random.default_rng(0).uniform(0, 255, (8, 4)).astype("float32")
LABELS = np.arange(8) % 3
CROSS_ENTROPY = Component("cross_entropy", {})


def flooded(level):
    return Component("flooding", {"loss": {"cross_entropy": {}}, "level": level})


def update(size, loss=CROSS_ENTROPY, adversarial=None, augment=(), penalty=None, aside=False):
    """What a step says, and what it leaves of the weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Rescaling(1 / 128, -1),
        keras.layers.Dense(3, kernel_regularizer=penalty, bias_initializer="ones"),
    ])  # fmt: skip
    variables = [*model.trainable_variables]
    if aside:
        variables.append(keras.Variable(np.ones(3, "float32"), name="aside"))
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    if loss.name == "flooding":
        optimizer = keras.optimizers.SGD(0.3)
    optimizer.build(variables)
    objective = Objective(
        Classification(list("abc")),
        make_loss(loss, None),
        np.array([1, 2, 0.5], "float32"),
        Regularization([], [], [], lambda: None),
        adversarial,
    )
    step = Step(model, objective, augment, optimizer, variables)
    step.micro_batch = size
    said = [float(value) for value in step(IMAGES, LABELS)]
    return said, [np.asarray(v) for v in variables]


def alike(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("level", [0.01, 9.0], ids=["above", "below"])
@pytest.mark.parametrize("weight", [None, 0.4], ids=["clean", "attacked"])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_flooded_batch_in_parts_is_updated_as_a_whole(level, weight, size):
    attack = weight and Adversarial(attack="fgm", on="image", weight=weight)
    given = {"loss": flooded(level), "adversarial": attack, "penalty": keras.regularizers.L2(0.1)}
    alike(update(None, **given), update(size, **given))


def test_a_level_between_the_losses_of_the_parts_is_that_of_the_whole_batch():
    """One part lies above the level and one below it, and the mean decides for both."""
    start, _ = update(None, flooded(0.0)), None
    halves = []
    for chosen in (slice(0, 4), slice(4, 8)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.train.test_step.IMAGES", IMAGES[chosen])
            patch.setattr("tests.train.test_step.LABELS", LABELS[chosen])
            halves.append(update(None, flooded(0.0))[0][0])
    assert min(halves) < start[0][0] < max(halves)
    level = (start[0][0] + min(halves)) / 2
    alike(update(None, flooded(level)), update(4, flooded(level)))


def test_flooding_turns_the_gradient_of_the_loss_and_not_that_of_the_penalty():
    """w' = w - rate (f'(L) dL/dw + 2 strength w), by NumPy."""
    _, start = update(None, flooded(0.0))
    said, found = update(3, flooded(9.0), penalty=keras.regularizers.L2(0.1))
    keras.utils.set_random_seed(0)
    x = IMAGES / 128 - 1
    model = keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(1 / 128, -1),
                              keras.layers.Dense(3, bias_initializer="ones")])  # fmt: skip
    w, b = (np.asarray(v, "float64") for v in model.trainable_variables)
    logits = x @ w + b
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    y, share = np.eye(3)[LABELS], np.array([1, 2, 0.5])[LABELS] / 8
    loss = -(share * np.log(p[np.arange(8), LABELS])).sum()
    slope = x.T @ ((p - y) * share[:, None])
    np.testing.assert_allclose(said[0], 18 - loss + 0.1 * (w**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(found[0], w - 0.3 * (-slope + 0.2 * w), atol=1e-5)
    np.testing.assert_allclose(start[0], w - 0.3 * slope, atol=1e-5)


class Reverse(keras.layers.Layer):
    """Mixes each image with the one at the other end of the batch."""

    mixes_labels = True

    def call(self, given, training=None):
        return {key: (value + value[::-1]) / 2 for key, value in given.items()}


def test_images_are_mixed_over_the_whole_batch():
    alike(update(None, augment=[Reverse()]), update(3, augment=[Reverse()]))


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, flooded(9.0)], ids=lambda loss: loss.name)
def test_what_no_gradient_reaches_is_left_alone_in_parts_too(loss):
    """A gradient of zero in its place would let weight decay shrink it."""
    whole, parts = update(None, loss, aside=True), update(3, loss, aside=True)
    alike(whole, parts)
    np.testing.assert_array_equal(parts[1][-1], np.ones(3))


@pytest.mark.parametrize("size", [None, 3])
def test_where_no_gradient_reaches_anything_keras_says_so(size):
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([variable])
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    objective = Objective(
        Classification(list("abc")),
        make_loss(CROSS_ENTROPY, None),
        np.ones(3, "float32"),
        Regularization([], [], [], lambda: None),
    )
    step = Step(model, objective, [], optimizer, [variable])
    step.micro_batch = size
    with pytest.raises(ValueError, match="No gradients provided"):
        step(tf.constant(IMAGES), LABELS)
