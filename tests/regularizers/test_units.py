"""Max-norm on every kind of layer, against NumPy over the axes that Keras documents."""

import keras
import numpy as np
import pytest

from tlkit.recipe.schema import Component
from tlkit.regularizers.units import owners, unit_axes
from tlkit.train.regularize import regularize_stage

L = keras.layers
# layer, what it takes, and for each of its kernels the axes that one unit's weights lie along
CASES = {
    "dense": (lambda: L.Dense(4), (5,), {"kernel": (0,)}),
    "conv1d": (lambda: L.Conv1D(4, 3), (8, 3), {"kernel": (0, 1)}),
    "conv2d": (lambda: L.Conv2D(4, 3), (8, 8, 3), {"kernel": (0, 1, 2)}),
    "conv3d": (lambda: L.Conv3D(4, 3), (4, 4, 4, 3), {"kernel": (0, 1, 2, 3)}),
    "grouped": (lambda: L.Conv2D(4, 3, groups=2), (8, 8, 6), {"kernel": (0, 1, 2)}),
    # named so that nothing in its path tells what it is, as in MobileNet and EfficientNet
    "depthwise": (lambda: L.DepthwiseConv2D(3, depth_multiplier=2, name="conv_dw_1"), (8, 8, 3),
                  {"kernel": (0, 1)}),
    "depthwise1d": (lambda: L.DepthwiseConv1D(3), (8, 3), {"kernel": (0,)}),
    "separable": (lambda: L.SeparableConv2D(4, 3, depth_multiplier=2), (8, 8, 3),
                  {"depthwise_kernel": (0, 1), "pointwise_kernel": (0, 1, 2)}),
    "separable1d": (lambda: L.SeparableConv1D(4, 3), (8, 3),
                    {"depthwise_kernel": (0,), "pointwise_kernel": (0, 1)}),
    # a convolution whose name says "depthwise" is none
    "misnamed": (lambda: L.Conv2D(4, 3, name="no_depthwise"), (8, 8, 3), {"kernel": (0, 1, 2)}),
    "transposed1d": (lambda: L.Conv1DTranspose(4, 3), (8, 3), {"kernel": (0, 2)}),
    "transposed": (lambda: L.Conv2DTranspose(4, 3), (8, 8, 3), {"kernel": (0, 1, 3)}),
    "einsum": (lambda: L.EinsumDense("abc,cde->abde", (None, 2, 3)), (7, 5), {"kernel": (0,)}),
    "einsum to one": (lambda: L.EinsumDense("abcd,cde->abe", (None, 6)), (7, 2, 5),
                      {"kernel": (0, 1)}),
    "einsum by place": (lambda: L.EinsumDense("abc,bcd->abd", (7, 6)), (7, 5), {"kernel": (1,)}),
}  # fmt: skip


def limited(model, value=0.2):
    """Sets max-norm as a stage does, and gives the values before and after a step of nothing."""
    before = {v.path: np.asarray(v) for v in model.trainable_variables}
    item = Component("max_norm", {"value": value, "include": [], "exclude": []})
    regularize_stage([item], model.trainable_variables, {}, 0, owners(model))
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.apply([keras.ops.zeros(v.shape) for v in before.values()], model.trainable_variables)
    return {v.path: (before[v.path], np.asarray(v)) for v in model.trainable_variables}


def expected(weight, axes, value=0.2):
    length = np.sqrt((weight**2).sum(axes, keepdims=True))
    return weight * np.clip(length, 0, value) / (1e-7 + length)


@pytest.mark.parametrize("case", CASES)
def test_each_unit_of_every_kind_of_layer_is_limited_by_itself(case):
    make, shape, kernels = CASES[case]
    inputs = keras.Input(shape)
    # inside another model, as a backbone is
    inner = keras.Model(inputs, make()(inputs), name="inner")
    outer = keras.Input(shape)
    values = limited(keras.Model(outer, inner(outer)))
    seen = set()
    for path, (before, after) in values.items():
        name = path.split("/")[-1]
        if name in kernels:
            seen.add(name)
            np.testing.assert_allclose(after, expected(before, kernels[name]), rtol=1e-4)
            assert not np.allclose(after, before)
        else:
            np.testing.assert_array_equal(after, before)
    assert seen == set(kernels)


def test_attention_is_limited_by_its_heads_features():
    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 3)(inputs, inputs))
    for path, (before, after) in limited(model).items():
        if path.endswith("kernel"):
            axes = (0, 1) if "attention_output" in path else (0,)
            np.testing.assert_allclose(after, expected(before, axes), rtol=1e-4)
        else:
            np.testing.assert_array_equal(after, before)


def test_a_word_s_vector_is_a_unit():
    table = L.Embedding(5, 3)
    table.build()
    assert unit_axes(table, table.embeddings) == [1]


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "EfficientNetB0", "Xception"])
def test_depthwise_kernels_of_known_networks_are_limited_by_channel(name):
    model = getattr(keras.applications, name)(weights=None, include_top=False,
                                               input_shape=(96, 96, 3))  # fmt: skip
    of = owners(model)
    found = 0
    for v in model.trainable_variables:
        layer = of[v.path]
        if isinstance(layer, L.DepthwiseConv2D) or v.name == "depthwise_kernel":
            assert unit_axes(layer, v) == [0, 1], v.path
            found += 1
    assert found >= 13
