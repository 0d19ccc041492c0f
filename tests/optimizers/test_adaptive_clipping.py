import keras
import numpy as np
import pytest

from tlkit.optimizers import adaptive_clip, with_adaptive_clipping

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 4), (3, 3, 5, 4), (4,), (3, 3, 6, 1)])
def test_each_units_gradient_is_limited_to_a_share_of_its_weights(shape):
    weight, gradient = RNG.normal(size=shape), RNG.normal(size=shape) * 0.05
    gradient[..., 0] *= 100
    got = np.asarray(adaptive_clip(gradient.astype("float32"), weight.astype("float32"), 0.1))
    axes = {1: None, 2: 0, 4: (0, 1) if shape[-1] == 1 else (0, 1, 2)}[len(shape)]
    lengths = [np.sqrt((a**2).sum(axes, keepdims=True)) for a in (weight, gradient)]
    # Brock et al. 2021, equation 3
    ratio = lengths[1] / np.maximum(lengths[0], 1e-3)
    expected = np.where(ratio > 0.1, 0.1 / ratio * gradient, gradient)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-7)
    assert (ratio > 0.1).any()


def test_an_optimizer_with_it_leaves_the_excluded_alone():
    kernel = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    head = keras.Variable(np.ones((2, 2), "float32"), name="head")
    optimizer = with_adaptive_clipping(keras.optimizers.SGD(1.0), 0.1, ["head"])
    optimizer.build([kernel, head])
    optimizer.apply([keras.ops.ones((2, 2))] * 2, [kernel, head])
    # a unit's weights and gradient are both sqrt(2) long: a tenth is left
    np.testing.assert_allclose(kernel, 0.9, rtol=1e-5)
    np.testing.assert_allclose(head, 0.0, atol=1e-6)
    with pytest.raises(ValueError, match="-1"):
        with_adaptive_clipping(optimizer, -1)
