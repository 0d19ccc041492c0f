"""Soft thresholding with a learned threshold."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import within
from tlkit.registry import register


def soft_threshold(values: Any, threshold: Any) -> Any:
    """sign(x) max(|x| - threshold, 0), the threshold a number or a tensor."""
    return keras.ops.sign(values) * keras.ops.maximum(keras.ops.abs(values) - threshold, 0.0)


@register("soft_threshold")
@keras.saving.register_keras_serializable(package="tlkit")
class SoftThreshold(keras.layers.Layer):
    """Shrinks towards zero by a threshold learned for each channel.

    y = sign(x) max(|x| - tau, 0), tau = softplus(rho) >= 0, one rho a channel.
    (Donoho 1995, "De-noising by soft-thresholding".) With a fixed threshold Keras
    has `keras.activations.soft_shrink`.

    Args:
        threshold: Initial tau, the same for all channels; at 0 it starts as the identity.

    Input and output: `(batch, ..., channels)` float.

    Raises:
        ValueError: if `threshold` is negative.
    """

    def __init__(self, *, threshold: Annotated[float, within(0, 80)] = 0.01, **kwargs: Any):
        super().__init__(**kwargs)
        if threshold < 0:
            raise ValueError(f"threshold must not be negative, got {threshold!r}")
        self.threshold = float(threshold)

    def build(self, input_shape: Any) -> None:
        # softplus of -20 is 2e-9: as good as none, with a gradient still
        start = float(keras.ops.log(keras.ops.expm1(self.threshold))) if self.threshold else -20.0
        self.rho = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(start),
            name="threshold",
        )

    def call(self, inputs: Any) -> Any:
        return soft_threshold(inputs, keras.ops.cast(keras.ops.softplus(self.rho), inputs.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
