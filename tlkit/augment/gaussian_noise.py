"""Gaussian noise on pixels."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("gaussian_noise")
@keras.saving.register_keras_serializable(package="tlkit")
class PixelNoise(keras.layers.Layer):
    """Adds Gaussian noise to every value and clips the result to [0, 255].

    `keras.layers.GaussianNoise` only accepts standard deviations up to 1, which has
    almost no effect on images in [0, 255].

    Args:
        seed: Random seed.
        stddev: Standard deviation in pixel levels, 0 or more.

    Input and output: `(batch, height, width, channels)` in [0, 255]; unchanged at inference.

    Raises:
        ValueError: if `stddev` is negative.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        stddev: Annotated[float, within(0, 255)] = 10.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.seed, self.stddev = seed, number("stddev", stddev, least=0)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        values = keras.ops.cast(images, keras.backend.result_type(images.dtype, "float32"))
        noise = keras.random.normal(
            keras.ops.shape(images), stddev=self.stddev, dtype=values.dtype, seed=self.generator
        )
        return keras.ops.cast(keras.ops.clip(values + noise, 0.0, 255.0), images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "stddev": self.stddev}
