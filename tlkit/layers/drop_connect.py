"""DropConnect: drops weights instead of activations."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.layers.convolve import convolve
from tlkit.limits import Fraction, number
from tlkit.registry import register
from tlkit.tensors import KerasLayer, Tensor


def check_rate(rate: float) -> float:
    return number("rate", rate, least=0, below=1)


def drop_weights(kernel: Any, rate: float, seed: Any) -> Tensor:
    """Keeps each entry with probability 1 - rate and scales it by 1 / (1 - rate)."""
    mask = keras.random.uniform(keras.ops.shape(kernel), seed=seed) >= rate
    return keras.ops.where(mask, kernel / (1.0 - rate), keras.ops.zeros_like(kernel))


@register("drop_connect")
@keras.saving.register_keras_serializable(package="tlkit")
class DropConnectDense(keras.layers.Dense):
    """Dense layer that drops weights instead of activations during training.

    y = x (M * W) / (1 - rate) + b, where each entry of the mask M is 1 with
    probability 1 - rate. The mask is drawn anew at every call. At inference
    y = x W + b, so the expected output is that of `Dense`. (Wan et al. 2013,
    "Regularization of Neural Networks using DropConnect", section 3; its inference
    by Gaussian moment matching is replaced by the mean.)

    Args:
        units: Number of output features, a positive int.
        rate: Fraction of kernel entries that are dropped, in [0, 1).
        seed: Seed of the masks.
        kwargs: Arguments of `keras.layers.Dense`.

    Input: `(batch, ..., in_features)` float. Output: `(batch, ..., units)`.

    Raises:
        ValueError: if `rate` is outside [0, 1) or `units` is not positive.
    """

    def __init__(self, units: int, *, rate: Fraction = 0.5, seed: int | None = None, **kwargs: Any):
        super().__init__(units, **kwargs)
        self.rate = check_rate(rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate:
            return super().call(inputs)
        kernel = drop_weights(self.kernel, self.rate, self.seed_generator)
        outputs = keras.ops.matmul(inputs, keras.ops.cast(kernel, inputs.dtype))
        if self.bias is not None:
            outputs = outputs + keras.ops.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def plain(self) -> KerasLayer:
        """The Keras layer that computes the same at inference."""
        config = {k: v for k, v in self.get_config().items() if k not in ("rate", "seed")}
        return keras.layers.Dense.from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@register("drop_connect_conv", inserted=False)
@keras.saving.register_keras_serializable(package="tlkit")
class DropConnectConv2D(keras.layers.Conv2D):
    """2-D convolution that drops weights instead of activations during training.

    The kernel is K * M / (1 - rate). The mask M is drawn anew at every call and
    shared by all positions and images of that call. At inference the kernel is K.
    (Wan et al. 2013, "Regularization of Neural Networks using DropConnect",
    section 3.)

    Args:
        filters: Number of output channels.
        kernel_size: Size of the kernel, in pixels.
        rate: Fraction of kernel entries that are dropped, in [0, 1).
        seed: Seed of the masks.
        kwargs: Arguments of `keras.layers.Conv2D`.

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

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate:
            return super().call(inputs)
        kernel = drop_weights(self.kernel, self.rate, self.seed_generator)
        return convolve(self, inputs, kernel)

    def plain(self) -> KerasLayer:
        """The Keras layer that computes the same at inference."""
        config = {k: v for k, v in self.get_config().items() if k not in ("rate", "seed")}
        return keras.layers.Conv2D.from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
