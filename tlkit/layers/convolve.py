"""Runs a convolution layer with a kernel other than its own."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.tensors import KerasLayer, Tensor


def convolve(layer: KerasLayer, inputs: Tensor, kernel: Any) -> Tensor:
    """Output of a `Conv2D` that uses `kernel` instead of its own, including bias and activation."""
    outputs = layer.convolution_op(inputs, keras.ops.cast(kernel, inputs.dtype))
    if layer.use_bias:
        shape = (1, 1, 1, -1) if layer.data_format == "channels_last" else (1, -1, 1, 1)
        outputs = outputs + keras.ops.reshape(keras.ops.cast(layer.bias, outputs.dtype), shape)
    return outputs if layer.activation is None else layer.activation(outputs)
