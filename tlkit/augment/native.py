"""Augmentations that Keras provides, by short name, for images in [0, 255]."""

from __future__ import annotations

from typing import Annotated, Literal

import keras

from tlkit.limits import Fraction, Share, Turn, odd, rising, within
from tlkit.registry import register
from tlkit.tensors import KerasLayer


@register("flip", native="keras.layers.RandomFlip")
def flip(
    seed: int, *, mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"
) -> KerasLayer:
    """Mirrors images at random."""
    return keras.layers.RandomFlip(mode, seed=seed)


@register("rotation", native="keras.layers.RandomRotation")
def rotation(
    seed: int,
    *,
    factor: Share | Annotated[tuple[Turn, Turn], rising] = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> KerasLayer:
    """Rotates by up to `factor` of a full circle either way, or between two such fractions."""
    return keras.layers.RandomRotation(factor, fill_mode=fill_mode, seed=seed)


@register("zoom", native="keras.layers.RandomZoom")
def zoom(
    seed: int,
    *,
    factor: Fraction = 0.2,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> KerasLayer:
    """Zooms in or out by up to `factor`."""
    return keras.layers.RandomZoom((-factor, factor), fill_mode=fill_mode, seed=seed)


@register("translation", native="keras.layers.RandomTranslation")
def translation(
    seed: int,
    *,
    factor: Fraction = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> KerasLayer:
    """Shifts along both axes by up to `factor` of the side length."""
    return keras.layers.RandomTranslation(factor, factor, fill_mode=fill_mode, seed=seed)


@register("shear", native="keras.layers.RandomShear")
def shear(
    seed: int,
    *,
    factor: Share = 0.2,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> KerasLayer:
    """Shears along both axes by up to `factor`."""
    return keras.layers.RandomShear(factor, factor, fill_mode=fill_mode, seed=seed)


@register("perspective", native="keras.layers.RandomPerspective")
def perspective(seed: int, *, factor: Share = 1.0, scale: Share = 0.3) -> KerasLayer:
    """Changes the perspective of a fraction `factor` of the images.

    The corners move by up to `scale` of half the side length.
    """
    return keras.layers.RandomPerspective(factor, scale, seed=seed)


@register("elastic", native="keras.layers.RandomElasticTransform")
def elastic(seed: int, *, factor: Share = 0.5, scale: Share = 0.2) -> KerasLayer:
    """Distorts a fraction `factor` of the images elastically, like rubber (Simard et al. 2003)."""
    return keras.layers.RandomElasticTransform(factor, scale, seed=seed)


@register("brightness", native="keras.layers.RandomBrightness")
def brightness(seed: int, *, factor: Share = 0.2) -> KerasLayer:
    """Shifts all pixels of an image by the same random value, up to `factor` of the range."""
    return keras.layers.RandomBrightness(factor, seed=seed)


@register("contrast", native="keras.layers.RandomContrast")
def contrast(seed: int, *, factor: Share = 0.2) -> KerasLayer:
    """Scales the distance of each pixel from the mean by 1 - factor to 1 + factor."""
    return keras.layers.RandomContrast(factor, value_range=(0, 255), seed=seed)


@register("saturation", native="keras.layers.RandomSaturation")
def saturation(
    seed: int, *, factor: Annotated[tuple[Share, Share], rising] = (0.3, 0.7)
) -> KerasLayer:
    """Draws the colour saturation between two values: 0 is grey, 0.5 no change, 1 the maximum."""
    return keras.layers.RandomSaturation(factor, seed=seed)


@register("hue", native="keras.layers.RandomHue")
def hue(seed: int, *, factor: Share = 0.1) -> KerasLayer:
    """Rotates the hue by up to `factor` of half the colour circle."""
    return keras.layers.RandomHue(factor, seed=seed)


@register("grayscale", native="keras.layers.RandomGrayscale")
def grayscale(seed: int, *, factor: Share = 0.2) -> KerasLayer:
    """Converts a fraction `factor` of the images to greyscale."""
    return keras.layers.RandomGrayscale(factor, seed=seed)


@register("sharpness", native="keras.layers.RandomSharpness")
def sharpness(
    seed: int, *, factor: Annotated[tuple[Share, Share], rising] = (0.3, 0.7)
) -> KerasLayer:
    """Blurs or sharpens, by a factor between two values: 0.5 leaves the image unchanged."""
    return keras.layers.RandomSharpness(factor, seed=seed)


@register("posterization", native="keras.layers.RandomPosterization")
def posterization(seed: int, *, bits: Annotated[int, within(1, 8)] = 4) -> KerasLayer:
    """Keeps the highest `bits` bits of each value."""
    return keras.layers.RandomPosterization(bits, seed=seed)


@register("solarization", native="keras.layers.Solarization")
def solarization(seed: int, *, factor: Share = 0.3) -> KerasLayer:
    """Inverts values above a random threshold, at most `factor` of the range below white."""
    return keras.layers.Solarization(threshold_factor=(1.0 - factor, 1.0), seed=seed)


@register("gaussian_blur", native="keras.layers.RandomGaussianBlur")
def gaussian_blur(
    seed: int,
    *,
    factor: Share = 0.5,
    kernel_size: Annotated[int, within(1, 101), odd] = 7,
    sigma: Share = 1.0,
) -> KerasLayer:
    """Blurs a fraction `factor` of images with a Gaussian of up to `sigma` pixels (scale space)."""
    return keras.layers.RandomGaussianBlur(factor, kernel_size, sigma, seed=seed)


@register("erasing", native="keras.layers.RandomErasing")
def erasing(
    seed: int, *, factor: Share = 0.5, scale: Annotated[tuple[Share, Share], rising] = (0.02, 0.33)
) -> KerasLayer:
    """Fills a rectangle with noise in a fraction `factor` of the images (Zhong et al. 2020).

    The rectangle covers between `scale[0]` and `scale[1]` of the image area.
    """
    return keras.layers.RandomErasing(factor, scale=scale, seed=seed)


@register("rand_augment", native="keras.layers.RandAugment")
def rand_augment(
    seed: int, *, operations: Annotated[int, within(1, 12)] = 2, factor: Share = 0.3
) -> KerasLayer:
    """Applies `operations` of 12 random changes, up to strength `factor` (Cubuk et al. 2020)."""
    return keras.layers.RandAugment(num_ops=operations, factor=factor, seed=seed)


@register("aug_mix", native="keras.layers.AugMix")
def aug_mix(
    seed: int,
    *,
    factor: Share = 0.3,
    chains: Annotated[int, within(1, 10)] = 3,
    depth: Annotated[int, within(1, 10)] = 3,
) -> KerasLayer:
    """Mixes the image with several chains of augmentations of it (Hendrycks et al. 2020).

    Keras chooses the augmentations of the chains when the step is compiled, so once
    per stage, and their strength anew for every batch.
    """
    return keras.layers.AugMix(num_chains=chains, chain_depth=depth, factor=factor, seed=seed)


@register("mix_up", native="keras.layers.MixUp", mixes_labels=True)
def mix_up(seed: int, *, alpha: Annotated[float, within(0.1, 100)] = 0.2) -> KerasLayer:
    """Blends pairs of images and their labels with a weight from Beta(alpha, alpha).

    x = w x_i + (1 - w) x_j, y = w y_i + (1 - w) y_j. (Zhang et al. 2018, "mixup".)"""
    return keras.layers.MixUp(alpha, seed=seed)


@register(
    "cut_mix", native="keras.layers.CutMix", mixes_labels=True, tasks="classification multi-label"
)
def cut_mix(seed: int, *, factor: Annotated[float, within(0.1, 1)] = 1.0) -> KerasLayer:
    """Pastes a rectangle of another image, and mixes the labels in proportion to its area.

    The area comes from Beta(factor, factor). (Yun et al. 2019, "CutMix".)"""
    return keras.layers.CutMix(factor, seed=seed)


@register("crop", native="keras.layers.RandomCrop")
def crop(
    seed: int, image_size: tuple[int, int], *, scale: Annotated[float, within(0.05, 1)] = 0.8
) -> KerasLayer:
    """Crops a random part of `scale` of each side and resizes it to the full image size."""
    height, width = image_size
    part = (max(1, round(height * scale)), max(1, round(width * scale)))
    return keras.Sequential(
        [keras.layers.RandomCrop(*part, seed=seed), keras.layers.Resizing(height, width)]
    )
