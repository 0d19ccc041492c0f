"""DropConnect: weights, not activations, are dropped."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.layers.convolve import convolve
from tlkit.limits import Fraction, number
from tlkit.registry import register


def check_rate(rate: float) -> float:
    return number("rate", rate, least=0, below=1)


def drop_weights(kernel: Any, rate: float, seed: Any) -> Any:
    """Keeps each entry with probability 1 - rate, scaled by its inverse."""
    mask = keras.random.uniform(keras.ops.shape(kernel), seed=seed) >= rate
    return keras.ops.where(mask, kernel / (1.0 - rate), keras.ops.zeros_like(kernel))


@register("drop_connect")
@keras.saving.register_keras_serializable(package="tlkit")
class DropConnectDense(keras.layers.Dense):
    """Dense layer that drops weights, not activations, while training.

    y = x (M * W) / (1 - rate) + b, where each entry of the mask M is 1 with
    probability 1 - rate, drawn anew at every call; at inference y = x W + b, so
    the expected output is that of `Dense`. (Wan et al. 2013, "Regularization of
    Neural Networks using DropConnect", section 3; its inference by Gaussian
    moment matching is replaced by the mean.)

    Args:
        units: Number of output features, a positive int.
        rate: Share of kernel entries dropped, in [0, 1).
        seed: Of the masks.
        kwargs: Of `keras.layers.Dense`.

    Input: `(batch, ..., in_features)` float. Output: `(batch, ..., units)`.

    Raises:
        ValueError: if `rate` is outside [0, 1) or `units` is not positive.
    """

    def __init__(self, units: int, *, rate: Fraction = 0.5, seed: int | None = None, **kwargs: Any):
        super().__init__(units, **kwargs)
        self.rate = check_rate(rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return super().call(inputs)
        kernel = drop_weights(self.kernel, self.rate, self.seed_generator)
        outputs = keras.ops.matmul(inputs, keras.ops.cast(kernel, inputs.dtype))
        if self.bias is not None:
            outputs = outputs + keras.ops.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def plain(self) -> Any:
        """The same at inference, of Keras alone."""
        config = {k: v for k, v in self.get_config().items() if k not in ("rate", "seed")}
        return keras.layers.Dense.from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@register("drop_connect_conv", inserted=False)
@keras.saving.register_keras_serializable(package="tlkit")
class DropConnectConv2D(keras.layers.Conv2D):
    """2-D convolution that drops weights, not activations, while training.

    The kernel is K * M / (1 - rate), the mask M drawn anew at every call and
    shared by all places and images of it; at inference it is K. (Wan et al.
    2013, "Regularization of Neural Networks using DropConnect", section 3.)

    Args:
        filters: Number of output channels.
        kernel_size: Of the convolution, in pixels.
        rate: Share of kernel entries dropped, in [0, 1).
        seed: Of the masks.
        kwargs: Of `keras.layers.Conv2D`.

    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        *,
        rate: Fraction = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        self.rate = check_rate(rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return super().call(inputs)
        kernel = drop_weights(self.kernel, self.rate, self.seed_generator)
        return convolve(self, inputs, kernel)

    def plain(self) -> Any:
        """The same at inference, of Keras alone."""
        config = {k: v for k, v in self.get_config().items() if k not in ("rate", "seed")}
        return keras.layers.Conv2D.from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
