"""Rotations by multiples of 90 degrees, for images without a natural orientation."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.registry import register
from tlkit.tensors import Tensor


@register("quarter_turns")
@keras.saving.register_keras_serializable(package="tlkit")
class QuarterTurns(keras.layers.Layer):
    """Rotates each square image by 0, 90, 180 or 270 degrees, without losing a pixel.

    With `flip` before it, all eight symmetries of the square are equally likely.
    Suitable for satellite, microscope and texture images.

    Args:
        seed: Random seed.

    Input and output: `(batch, side, side, channels)`; unchanged at inference.

    Raises:
        ValueError: if the images are not square.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        if images.shape[1] != images.shape[2]:
            raise ValueError(f"quarter_turns needs square images, got {images.shape}")
        draw = keras.random.uniform((keras.ops.shape(images)[0], 2), seed=self.generator)
        transpose, both = (draw[:, i, None, None, None] < 0.5 for i in (0, 1))
        # transposing and mirroring one axis is a quarter turn; mirroring both is a half
        turned = keras.ops.flip(keras.ops.transpose(images, (0, 2, 1, 3)), 1)
        images = keras.ops.where(transpose, turned, images)
        return keras.ops.where(both, keras.ops.flip(images, (1, 2)), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
