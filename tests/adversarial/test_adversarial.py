import numpy as np
import pytest
import tensorflow as tf

from tlkit.registry import ADVERSARIES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4, 4, 3)).astype("float32")
W = RNG.normal(size=X.shape[1:]).astype("float32")


def linear(x):
    """A loss whose gradient is W / 6 everywhere."""
    return tf.reduce_mean(tf.reduce_sum(x * W, (1, 2, 3)))


FORMULAS = {
    "fgsm": ({"epsilon": 0.3}, X + 0.3 * np.sign(W)),
    "fgm": ({"epsilon": 0.3}, X + 0.3 * W / np.linalg.norm(W)),
    # three steps of 0.2 would go 0.6 far; they are held at 0.5
    "pgd": ({"epsilon": 0.5, "step": 0.2, "steps": 3}, X + 0.5 * np.sign(W)),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_it_moves_by_its_formula(name):
    arguments, expected = FORMULAS[name]
    moved = ADVERSARIES.build(name, linear, tf.constant(X), **arguments)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_it_raises_a_curved_loss(name):
    def loss(x):
        return tf.reduce_sum(tf.math.softplus(tf.reduce_sum(x * W, (1, 2, 3))))

    moved = ADVERSARIES.build(name, loss, tf.constant(X))
    assert float(loss(moved)) > float(loss(X))
