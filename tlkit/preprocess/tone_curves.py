"""Tone curves: fixed functions from [0, 255] to [0, 255]."""

from __future__ import annotations

import math
from typing import Annotated, Any

import keras

from tlkit.limits import number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("log", leaves="pixels")
@keras.saving.register_keras_serializable(package="tlkit")
class LogScale(keras.layers.Layer):
    """Brightens dark values: y = 255 log(1 + strength x / 255) / log(1 + strength).

    Args:
        strength: Strength of the curve, positive; near 0 the image is left unchanged.

    Input and output: `(batch, ...)` in [0, 255].

    Raises:
        ValueError: if `strength` is not positive.
    """

    def __init__(self, *, strength: Annotated[float, within(1e-3, 1e6)] = 255.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.strength = number("strength", strength, above=0)

    def call(self, inputs: Tensor) -> Tensor:
        scaled = keras.ops.log1p(self.strength * keras.ops.maximum(inputs, 0.0) / 255.0)
        return 255.0 * scaled / math.log1p(self.strength)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "strength": self.strength}


@register("power", leaves="pixels")
@keras.saving.register_keras_serializable(package="tlkit")
class PowerScale(keras.layers.Layer):
    """Gamma correction: y = 255 (x / 255)^exponent.

    Args:
        exponent: Gamma, positive; below 1 it expands the dark values, above 1 the bright ones.

    Input and output: `(batch, ...)` in [0, 255].

    Raises:
        ValueError: if `exponent` is not positive.
    """

    def __init__(self, *, exponent: Annotated[float, within(0.01, 100)] = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.exponent = number("exponent", exponent, above=0)

    def call(self, inputs: Tensor) -> Tensor:
        # below 1 a power has no slope at 0, which an attack on the image would ask for
        bright = inputs > 0
        powers = (keras.ops.where(bright, inputs, 255.0) / 255.0) ** self.exponent
        return keras.ops.where(bright, 255.0 * powers, 0.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "exponent": self.exponent}


@register("arctan", leaves="pixels")
@keras.saving.register_keras_serializable(package="tlkit")
class ArctanScale(keras.layers.Layer):
    """Expands the mid-tones: y = 127.5 (1 + arctan(s (x / 127.5 - 1)) / arctan(s)).

    Args:
        slope: Slope s, positive; near 0 the image is left unchanged.

    Input and output: `(batch, ...)` in [0, 255].

    Raises:
        ValueError: if `slope` is not positive.
    """

    def __init__(self, *, slope: Annotated[float, within(1e-3, 1e3)] = 2.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.slope = number("slope", slope, above=0)

    def call(self, inputs: Tensor) -> Tensor:
        bent = keras.ops.arctan(self.slope * (inputs / 127.5 - 1.0)) / math.atan(self.slope)
        return 127.5 * (1.0 + bent)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "slope": self.slope}
