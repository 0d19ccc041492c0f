"""AlexNet's local response normalisation."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import number, odd, whole, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("local_response_normalization")
@keras.saving.register_keras_serializable(package="tlkit")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by the energy of its neighbouring channels at the same position.

    y_i = x_i / (k + alpha * sum_j x_j^2)^beta, where j runs from i - size // 2 to
    i + size // 2 within the channels. (Krizhevsky et al. 2012, "ImageNet
    Classification with Deep Convolutional Neural Networks", section 3.3.)

    Args:
        size: Number of channels in the sum, an odd positive int.
        k: Constant added to the scaled sum, positive.
        alpha: Factor of the sum, positive; not divided by `size`.
        beta: Exponent, positive.

    Input and output: `(batch, ..., channels)` float.

    Raises:
        ValueError: if `size` is even or a value is not positive.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, within(1, 101), odd] = 5,
        k: Annotated[float, within(1e-3, 100)] = 2.0,
        alpha: Annotated[float, within(1e-8, 10)] = 1e-4,
        beta: Annotated[float, within(0.01, 3)] = 0.75,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.size = whole("size", size, odd=True)
        self.k, self.alpha = number("k", k, above=0), number("alpha", alpha, above=0)
        self.beta = number("beta", beta, above=0)

    def call(self, inputs: Tensor) -> Tensor:
        half = self.size // 2
        channels = inputs.shape[-1]
        # squares of half precision overflow at 256
        values = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        padding = [(0, 0)] * (len(inputs.shape) - 1) + [(half, half)]
        squares = keras.ops.pad(keras.ops.square(values), padding)
        energy = sum(squares[..., shift : shift + channels] for shift in range(self.size))
        # a power that overflows would have no gradient
        scale = keras.ops.exp(-self.beta * keras.ops.log(self.k + self.alpha * energy))
        return keras.ops.cast(values * scale, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}
