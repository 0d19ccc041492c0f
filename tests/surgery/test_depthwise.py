"""Grouped convolutions of one channel a group as depthwise ones: the same numbers."""

import keras
import numpy as np
import pytest

from tlkit.model import build_network
from tlkit.recipe.schema import Model
from tlkit.surgery import as_depthwise
from tlkit.tasks.classification import Classification


def network(**arguments):
    given = keras.Input((9, 11, 6))
    inner = keras.Sequential([keras.Input((9, 11, 6)), keras.layers.Conv2D(groups=6, **arguments)])
    return keras.Model(given, inner(given))


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": 6, "kernel_size": 3, "padding": "same"},
        {"filters": 12, "kernel_size": (2, 5), "activation": "relu"},
        {"filters": 18, "kernel_size": 3, "strides": 2, "use_bias": False},
        {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "padding": "same"},
    ],
)
def test_it_gives_the_same(arguments):
    model = network(**arguments)
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    images = np.random.default_rng(0).normal(size=(2, 9, 11, 6)).astype("float32")
    changed = as_depthwise(model)
    kinds = [type(layer) for layer in changed.layers[1].layers]
    assert kinds == [keras.layers.DepthwiseConv2D]
    np.testing.assert_allclose(changed(images), model(images), atol=1e-5)


def test_other_convolutions_stay():
    given = keras.Input((16, 16, 4))
    x = keras.layers.Conv2D(4, 3, groups=2)(given)
    x = keras.layers.Conv2D(4, 3, groups=4, strides=(1, 2))(x)  # TensorFlow wants equal strides
    model = keras.Model(given, keras.layers.DepthwiseConv2D(3)(x))
    assert as_depthwise(model) is model


def test_convnext_is_built_of_them_and_answers_as_keras_s():
    config = Model.model_validate({"backbone": "convnext_tiny", "weights": "none"})
    network = build_network(config, Classification(["a", "b"]), (32, 32))
    (backbone,) = [layer for layer in network.model.layers if isinstance(layer, keras.Model)]
    kinds = [type(layer).__name__ for layer in backbone.layers]
    assert kinds.count("DepthwiseConv2D") == 18
    own = keras.applications.ConvNeXtTiny(weights=None, include_top=False, input_shape=(32, 32, 3))
    rng = np.random.default_rng(0)
    # the same numbers in both, whatever the shapes of their kernels
    for a, b in zip(own.weights, backbone.weights, strict=True):
        value = rng.normal(size=a.shape) * 0.1
        a.assign(value)
        b.assign(value.reshape(b.shape))
    images = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(backbone(images), own(images), rtol=1e-3, atol=1e-4)
