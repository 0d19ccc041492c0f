"""Weight standardisation: convolution kernels of zero mean and unit variance."""

from __future__ import annotations

import math
from typing import Any

import keras

from tlkit.layers.convolve import convolve
from tlkit.limits import Epsilon, flag, number
from tlkit.registry import register


@register("weight_standardization", where="every convolution of the backbone that is not depthwise")
@keras.saving.register_keras_serializable(package="tlkit")
class WeightStandardizedConv2D(keras.layers.Conv2D):
    """2-D convolution whose kernel is standardised for each output channel.

    W' = g (W - mean(W)) / sqrt(var(W) + epsilon), mean and variance over the
    kernel's height, width and input channels, with a learned gain g a channel if
    wanted; the partner of GroupNorm. (Qiao et al. 2019, "Weight
    Standardization", equation 5; BiT, Kolesnikov et al. 2020, without the gain.)
    In a recipe it takes the place of the backbone's convolutions, with the gain
    that keeps each loaded kernel but for its mean.

    Args:
        filters: Number of output channels.
        kernel_size: Of the convolution, in pixels.
        gain: Learn a factor for each output channel.
        epsilon: Added to the variance.
        kwargs: Of `keras.layers.Conv2D`.

    Raises:
        ValueError: if `epsilon` is not positive, or a kernel has one entry for each output
            channel, which would be zero for ever.
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
        return keras.ops.moments(self._fine(self.kernel), axes=(0, 1, 2), keepdims=True)

    def _fine(self, values: Any) -> Any:
        """In float32, or finer where they are."""
        return keras.ops.cast(values, keras.backend.result_type(values.dtype, "float32"))

    def standardized_kernel(self) -> Any:
        """W', float32 or finer `(height, width, in, filters)`."""
        mean, variance = self._moments()
        kernel = (self._fine(self.kernel) - mean) * keras.ops.rsqrt(variance + self.epsilon)
        return kernel if self.scale is None else kernel * keras.ops.cast(self.scale, kernel.dtype)

    def keep_scale(self) -> None:
        """Sets the gain so that the standardised kernel is the raw one less its mean."""
        if self.scale is None:
            raise ValueError("gain must be True to keep the kernel's scale")
        _, variance = self._moments()
        self.scale.assign(keras.ops.sqrt(variance + self.epsilon)[0, 0, 0])

    def call(self, inputs: Any) -> Any:
        return convolve(self, inputs, self.standardized_kernel())

    def save_own_variables(self, store: Any) -> None:
        # a convolution stores kernel and bias by name, and no more
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def plain(self) -> Any:
        """The same convolution, of Keras alone."""
        config = {k: v for k, v in self.get_config().items() if k not in ("gain", "epsilon")}
        return keras.layers.Conv2D.from_config(config)

    def plain_weights(self) -> list[Any]:
        """What `plain()` needs to give the same."""
        return [self.standardized_kernel(), *([self.bias] if self.use_bias else [])]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain, "epsilon": self.epsilon}
