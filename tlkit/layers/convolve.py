"""A convolution layer's work with a kernel other than its own."""

from __future__ import annotations

from typing import Any

import keras


def convolve(layer: Any, inputs: Any, kernel: Any) -> Any:
    """What a `Conv2D` gives with `kernel` in the place of its own: bias and activation too."""
    outputs = layer.convolution_op(inputs, keras.ops.cast(kernel, inputs.dtype))
    if layer.use_bias:
        shape = (1, 1, 1, -1) if layer.data_format == "channels_last" else (1, -1, 1, 1)
        outputs = outputs + keras.ops.reshape(keras.ops.cast(layer.bias, outputs.dtype), shape)
    return outputs if layer.activation is None else layer.activation(outputs)
