"""Replaces convolutions with one channel per group by depthwise convolutions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.surgery.clone import clone_with
from tlkit.tensors import KerasLayer, KerasModel


def as_depthwise(model: KerasModel) -> KerasModel:
    """Returns a copy in which `Conv2D` with one channel per group is `DepthwiseConv2D`.

    Both compute sum_ij W[i, j, 0, c m + k] x[i, j, c] for output c m + k. ConvNeXt uses the former,
    which Keras can run on a CPU only through XLA. This is slow, converters do not look into the
    compiled function, and a server may have no compiler for it.

    Args:
        model: Functional Keras model; nested models are processed too.

    Returns:
        The copy, or the model itself if it has no such layer.

    Raises:
        ValueError: for a subclassed model.
    """
    if not _has_any(model):
        return model

    def replace(layer: KerasLayer) -> Any:
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


def _has_any(model: KerasModel) -> bool:
    return any(
        _has_any(layer) if isinstance(layer, keras.Model) else _is_depthwise(layer)
        for layer in model.layers
    )


def _is_depthwise(layer: KerasLayer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.groups > 1
        and layer.kernel.shape[2] == 1
        and layer.strides[0] == layer.strides[1]
    )
