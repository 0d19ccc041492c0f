"""Weight standardisation: convolution kernels with zero mean and unit variance."""

from __future__ import annotations

import math
from typing import Any

import keras

from tlkit.layers.convolve import convolve
from tlkit.limits import Epsilon, flag, number
from tlkit.registry import register
from tlkit.tensors import KerasLayer, Tensor


@register("weight_standardization", where="every convolution of the backbone that is not depthwise")
@keras.saving.register_keras_serializable(package="tlkit")
class WeightStandardizedConv2D(keras.layers.Conv2D):
    """2-D convolution whose kernel is standardised for each output channel.

    W' = g (W - mean(W)) / sqrt(var(W) + epsilon), with mean and variance over the
    kernel's height, width and input channels, and an optional learned gain g per
    channel. It is meant to be combined with GroupNorm. (Qiao et al. 2019, "Weight
    Standardization", equation 5; BiT, Kolesnikov et al. 2020, without the gain.)
    In a recipe it replaces the backbone's convolutions; the gain is set so that each
    loaded kernel is preserved except for its mean.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the kernel, in pixels.
        gain: Whether to learn a factor for each output channel.
        epsilon: Constant added to the variance.
        kwargs: Arguments of `keras.layers.Conv2D`.

    Raises:
        ValueError: if `epsilon` is not positive, or if a kernel has only one entry per output
            channel, which would always be standardised to zero.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        *,
        gain: bool = True,
        epsilon: Epsilon = 1e-10,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, **kwargs)
        self.gain = flag("gain", gain)
        self.epsilon = number("epsilon", epsilon, above=0)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if math.prod(self.kernel.shape[:3]) < 2:
            raise ValueError(
                "a kernel of one entry for each output channel has no variance to standardise; got "
                f"kernel shape {tuple(self.kernel.shape)}"
            )
        self.built = False
        self.scale = (
            self.add_weight(shape=(self.filters,), initializer="ones", name="gain")
            if self.gain
            else None
        )
        self.built = True

    def _moments(self) -> tuple[Any, Any]:
        mean, variance = keras.ops.moments(self._fine(self.kernel), axes=(0, 1, 2), keepdims=True)
        return mean, variance

    def _fine(self, values: Any) -> Any:
        """Casts to float32, unless the values have a higher precision."""
        return keras.ops.cast(values, keras.backend.result_type(values.dtype, "float32"))

    def standardized_kernel(self) -> Tensor:
        """W' in float32 or higher precision, `(height, width, in, filters)`."""
        mean, variance = self._moments()
        kernel = (self._fine(self.kernel) - mean) * keras.ops.rsqrt(variance + self.epsilon)
        return kernel if self.scale is None else kernel * keras.ops.cast(self.scale, kernel.dtype)

    def keep_scale(self) -> None:
        """Sets the gain so that the standardised kernel equals the raw kernel minus its mean."""
        if self.scale is None:
            raise ValueError("gain must be True to keep the kernel's scale")
        _, variance = self._moments()
        self.scale.assign(keras.ops.sqrt(variance + self.epsilon)[0, 0, 0])

    def call(self, inputs: Tensor) -> Tensor:
        return convolve(self, inputs, self.standardized_kernel())

    def save_own_variables(self, store: Any) -> None:
        # a convolution stores kernel and bias by name, and no more
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def plain(self) -> KerasLayer:
        """The Keras convolution that computes the same, given `plain_weights()`."""
        config = {k: v for k, v in self.get_config().items() if k not in ("gain", "epsilon")}
        return keras.layers.Conv2D.from_config(config)

    def plain_weights(self) -> list[Any]:
        """Weights with which `plain()` computes the same."""
        return [self.standardized_kernel(), *([self.bias] if self.use_bias else [])]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain, "epsilon": self.epsilon}
