"""Convolutions of one channel a group as the depthwise ones that they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.surgery.clone import clone_with


def as_depthwise(model: Any) -> Any:
    """A copy of a model in which `Conv2D` with a group for each channel is `DepthwiseConv2D`.

    They compute the same, sum_ij W[i, j, 0, c m + k] x[i, j, c] for output c m + k. ConvNeXt is built
    of the former, which Keras can only run by XLA on a CPU: slowly, as a function that converters do
    not look into and a server may have no compiler for.

    Args:
        model: A functional Keras model; nested ones are opened.

    Returns:
        The copy, or the model itself where there is none of them.

    Raises:
        ValueError: for a subclassed model.
    """
    if not _has_any(model):
        return model

    def replace(layer: Any) -> Any:
        if not _is_depthwise(layer):
            return None
        height, width, _, filters = layer.kernel.shape
        kept = (
            "name",
            "strides",
            "padding",
            "data_format",
            "dilation_rate",
            "activation",
            "use_bias",
        )
        config = layer.get_config()
        new = keras.layers.DepthwiseConv2D(
            (height, width),
            depth_multiplier=filters // layer.groups,
            **{key: config[key] for key in kept},
        )
        new.build(layer.input.shape)
        new.kernel.assign(np.asarray(layer.kernel).reshape(new.kernel.shape))
        if layer.use_bias:
            new.bias.assign(layer.bias)
        return new

    return clone_with(model, replace)


def _has_any(model: Any) -> bool:
    return any(
        _has_any(layer) if isinstance(layer, keras.Model) else _is_depthwise(layer)
        for layer in model.layers
    )


def _is_depthwise(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups > 1
        and layer.kernel.shape[2] == 1
        and layer.strides[0] == layer.strides[1]
    )
