"""Augmentations that Keras has, by short names, for images in [0, 255]."""

from __future__ import annotations

from typing import Any, Literal

from tlkit.registry import Fraction, NonNegative, register


@register("flip")
def flip(
    seed: int, *, mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"
) -> Any:
    """Mirrors an image or not, at random (keras.layers.RandomFlip)."""
    import keras

    return keras.layers.RandomFlip(mode, seed=seed)


@register("rotation")
def rotation(
    seed: int,
    *,
    factor: NonNegative = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Turns by up to `factor` of a full circle either way (keras.layers.RandomRotation)."""
    import keras

    return keras.layers.RandomRotation(factor, fill_mode=fill_mode, seed=seed)


@register("zoom")
def zoom(
    seed: int,
    *,
    factor: Fraction = 0.2,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Scales by up to `factor` in or out (keras.layers.RandomZoom)."""
    import keras

    return keras.layers.RandomZoom((-factor, factor), fill_mode=fill_mode, seed=seed)


@register("translation")
def translation(
    seed: int,
    *,
    factor: Fraction = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Shifts by up to `factor` of the side (keras.layers.RandomTranslation)."""
    import keras

    return keras.layers.RandomTranslation(factor, factor, fill_mode=fill_mode, seed=seed)


@register("brightness")
def brightness(seed: int, *, factor: Fraction = 0.2) -> Any:
    """Adds up to `factor` of the range, the same to all pixels (keras.layers.RandomBrightness)."""
    import keras

    return keras.layers.RandomBrightness(factor, seed=seed)


@register("contrast")
def contrast(seed: int, *, factor: Fraction = 0.2) -> Any:
    """Scales the distance from the mean by 1 - factor to 1 + factor (keras.layers.RandomContrast)."""
    import keras

    return keras.layers.RandomContrast(factor, value_range=(0, 255), seed=seed)
