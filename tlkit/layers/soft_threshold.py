"""Soft thresholding with a learned threshold."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import NonNegative, number
from tlkit.registry import register
from tlkit.tensors import Tensor


def soft_threshold(values: Any, threshold: Any) -> Tensor:
    """sign(x) max(|x| - threshold, 0), where the threshold is a number or a tensor."""
    return keras.ops.sign(values) * keras.ops.maximum(keras.ops.abs(values) - threshold, 0.0)


@register("soft_threshold")
@keras.saving.register_keras_serializable(package="tlkit")
class SoftThreshold(keras.layers.Layer):
    """Shrinks values towards zero by a threshold learned for each channel.

    y = sign(x) max(|x| - tau, 0), with one tau >= 0 per channel, enforced by a constraint.
    (Donoho 1995, "De-noising by soft-thresholding".) The threshold itself is the
    weight, so that it can grow and shrink from any value, including zero. A softplus or an
    exponential of a weight would have no gradient at zero and would overflow at large values.
    For a fixed threshold, Keras has `keras.activations.soft_shrink`.

    Args:
        threshold: Initial tau, the same for all channels; at 0 the layer starts as the identity.

    Input and output: `(batch, ..., channels)` float.

    Raises:
        ValueError: if `threshold` is negative or not finite.
    """

    def __init__(self, *, threshold: NonNegative = 0.01, **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = number("threshold", threshold, least=0)

    def build(self, input_shape: Any) -> None:
        self.tau = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.threshold),
            constraint=keras.constraints.NonNeg(),
            name="threshold",
        )

    def call(self, inputs: Tensor) -> Tensor:
        return soft_threshold(inputs, keras.ops.cast(self.tau, inputs.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
