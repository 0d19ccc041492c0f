"""Changes the contrast of saturation and value by random powers."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("hsv_power")
@keras.saving.register_keras_serializable(package="tlkit")
class HSVPower(keras.layers.Layer):
    """Raises saturation and value of each image to random powers; the hue is unchanged.

    S' = S^a, V' = V^b in HSV with values in [0, 1]; log a and log b are uniform in
    [-log limit, log limit], with one pair (a, b) per image. (Dosovitskiy et al. 2014,
    "Discriminative Unsupervised Feature Learning with Exemplar Convolutional
    Neural Networks", section 2.1: powers in [0.25, 4].)

    Args:
        seed: Random seed.
        limit: Largest power, 1 or more; the smallest power is its inverse.

    Input and output: RGB in [0, 255] `(batch, height, width, 3)`; unchanged at inference.

    Raises:
        ValueError: if `limit` is below 1.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        limit: Annotated[float, within(1, 10)] = 4.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.seed, self.limit = seed, number("limit", limit, least=1)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        ops = keras.ops
        shape = (ops.shape(images)[0], 1, 1, 2)
        powers = self.limit ** keras.random.uniform(shape, -1.0, 1.0, seed=self.generator)
        # a negative number has no power
        rgb = ops.clip(ops.cast(images, "float32") / 255.0, 0.0, 1.0)
        red, green, blue = (rgb[..., i : i + 1] for i in range(3))
        value = ops.maximum(ops.maximum(red, green), blue)
        chroma = value - ops.minimum(ops.minimum(red, green), blue)
        saturation = chroma / ops.maximum(value, 1e-7)
        # how far each channel lies below the largest, as a share of the chroma: the hue
        hue = (value - rgb) / ops.maximum(chroma, 1e-7)
        changed = value ** powers[..., 1:] * (1.0 - saturation ** powers[..., :1] * hue)
        return ops.cast(255.0 * changed, images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "limit": self.limit}
