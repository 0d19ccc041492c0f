"""Salt-and-pepper noise."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Share, number
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("salt_and_pepper")
@keras.saving.register_keras_serializable(package="tlkit")
class SaltAndPepper(keras.layers.Layer):
    """Makes a fraction of the pixels white or black, half of them each.

    Args:
        seed: Random seed.
        share: Fraction of the pixels, in [0, 1]; all channels of a pixel change together.

    Input and output: `(batch, height, width, channels)` in [0, 255]; unchanged at inference.

    Raises:
        ValueError: if `share` is outside [0, 1].
    """

    def __init__(self, seed: int | None = None, *, share: Share = 0.02, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed, self.share = seed, number("share", share, least=0, most=1)
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        ops = keras.ops
        draw = keras.random.uniform((*ops.shape(images)[:3], 1), seed=self.generator)
        images = ops.where(draw < self.share / 2, ops.zeros_like(images), images)
        return ops.where(draw >= 1 - self.share / 2, ops.full_like(images, 255), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "share": self.share}
