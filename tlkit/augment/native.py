"""Augmentations that Keras has, by short names, for images in [0, 255]."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tlkit.limits import Fraction, Share, Turn, odd, rising, within
from tlkit.registry import register


@register("flip", native="keras.layers.RandomFlip")
def flip(
    seed: int, *, mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal"
) -> Any:
    """Mirrors an image or not, at random."""
    import keras

    return keras.layers.RandomFlip(mode, seed=seed)


@register("rotation", native="keras.layers.RandomRotation")
def rotation(
    seed: int,
    *,
    factor: Share | Annotated[tuple[Turn, Turn], rising] = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Turns by up to `factor` of a full circle either way, or by between two such parts."""
    import keras

    return keras.layers.RandomRotation(factor, fill_mode=fill_mode, seed=seed)


@register("zoom", native="keras.layers.RandomZoom")
def zoom(
    seed: int,
    *,
    factor: Fraction = 0.2,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Scales by up to `factor` in or out."""
    import keras

    return keras.layers.RandomZoom((-factor, factor), fill_mode=fill_mode, seed=seed)


@register("translation", native="keras.layers.RandomTranslation")
def translation(
    seed: int,
    *,
    factor: Fraction = 0.1,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Shifts by up to `factor` of the side."""
    import keras

    return keras.layers.RandomTranslation(factor, factor, fill_mode=fill_mode, seed=seed)


@register("shear", native="keras.layers.RandomShear")
def shear(
    seed: int,
    *,
    factor: Share = 0.2,
    fill_mode: Literal["reflect", "wrap", "constant", "nearest"] = "reflect",
) -> Any:
    """Shears along both axes by up to `factor`."""
    import keras

    return keras.layers.RandomShear(factor, factor, fill_mode=fill_mode, seed=seed)


@register("perspective", native="keras.layers.RandomPerspective")
def perspective(seed: int, *, factor: Share = 1.0, scale: Share = 0.3) -> Any:
    """Views a share `factor` of the images from aside, the corners moved by up to `scale` of half the side."""
    import keras

    return keras.layers.RandomPerspective(factor, scale, seed=seed)


@register("elastic", native="keras.layers.RandomElasticTransform")
def elastic(seed: int, *, factor: Share = 0.5, scale: Share = 0.2) -> Any:
    """Bends a share `factor` of the images like rubber (Simard et al. 2003)."""
    import keras

    return keras.layers.RandomElasticTransform(factor, scale, seed=seed)


@register("brightness", native="keras.layers.RandomBrightness")
def brightness(seed: int, *, factor: Share = 0.2) -> Any:
    """Adds up to `factor` of the range, the same to all pixels."""
    import keras

    return keras.layers.RandomBrightness(factor, seed=seed)


@register("contrast", native="keras.layers.RandomContrast")
def contrast(seed: int, *, factor: Share = 0.2) -> Any:
    """Scales the distance from the mean by 1 - factor to 1 + factor."""
    import keras

    return keras.layers.RandomContrast(factor, value_range=(0, 255), seed=seed)


@register("saturation", native="keras.layers.RandomSaturation")
def saturation(seed: int, *, factor: Annotated[tuple[Share, Share], rising] = (0.3, 0.7)) -> Any:
    """Strength of the colours, between two values: 0 is grey, 0.5 leaves them, 1 is full."""
    import keras

    return keras.layers.RandomSaturation(factor, seed=seed)


@register("hue", native="keras.layers.RandomHue")
def hue(seed: int, *, factor: Share = 0.1) -> Any:
    """Turns the colour circle by up to `factor` of its half."""
    import keras

    return keras.layers.RandomHue(factor, seed=seed)


@register("grayscale", native="keras.layers.RandomGrayscale")
def grayscale(seed: int, *, factor: Share = 0.2) -> Any:
    """Turns a share `factor` of the images grey."""
    import keras

    return keras.layers.RandomGrayscale(factor, seed=seed)


@register("sharpness", native="keras.layers.RandomSharpness")
def sharpness(seed: int, *, factor: Annotated[tuple[Share, Share], rising] = (0.3, 0.7)) -> Any:
    """Blurs or sharpens, between two values: 0.5 leaves the image."""
    import keras

    return keras.layers.RandomSharpness(factor, seed=seed)


@register("posterization", native="keras.layers.RandomPosterization")
def posterization(seed: int, *, bits: Annotated[int, within(1, 8)] = 4) -> Any:
    """Keeps the highest `bits` bits of each value."""
    import keras

    return keras.layers.RandomPosterization(bits, seed=seed)


@register("solarization", native="keras.layers.Solarization")
def solarization(seed: int, *, factor: Share = 0.3) -> Any:
    """Inverts the values above a random threshold, up to `factor` of the range below white."""
    import keras

    return keras.layers.Solarization(threshold_factor=(1.0 - factor, 1.0), seed=seed)


@register("gaussian_blur", native="keras.layers.RandomGaussianBlur")
def gaussian_blur(
    seed: int,
    *,
    factor: Share = 0.5,
    kernel_size: Annotated[int, within(1, 101), odd] = 7,
    sigma: Share = 1.0,
) -> Any:
    """Blurs a share `factor` of the images by a Gaussian of up to `sigma` pixels: scale space."""
    import keras

    return keras.layers.RandomGaussianBlur(factor, kernel_size, sigma, seed=seed)


@register("erasing", native="keras.layers.RandomErasing")
def erasing(
    seed: int, *, factor: Share = 0.5, scale: Annotated[tuple[Share, Share], rising] = (0.02, 0.33)
) -> Any:
    """Paints noise over a rectangle of `scale` of the area, in a share `factor` of the images (Zhong et al. 2020)."""
    import keras

    return keras.layers.RandomErasing(factor, scale=scale, seed=seed)


@register("rand_augment", native="keras.layers.RandAugment")
def rand_augment(
    seed: int, *, operations: Annotated[int, within(1, 12)] = 2, factor: Share = 0.3
) -> Any:
    """`operations` drawn from a list of twelve, at strength up to `factor` (Cubuk et al. 2020)."""
    import keras

    return keras.layers.RandAugment(num_ops=operations, factor=factor, seed=seed)


@register("aug_mix", native="keras.layers.AugMix")
def aug_mix(
    seed: int,
    *,
    factor: Share = 0.3,
    chains: Annotated[int, within(1, 10)] = 3,
    depth: Annotated[int, within(1, 10)] = 3,
) -> Any:
    """Mixes several chains of changes with the image itself (Hendrycks et al. 2020).

    Keras draws which changes make up the chains when the step is compiled, so
    once a stage, and their strength at every batch.
    """
    import keras

    return keras.layers.AugMix(num_chains=chains, chain_depth=depth, factor=factor, seed=seed)


@register("mix_up", native="keras.layers.MixUp", mixes_labels=True)
def mix_up(seed: int, *, alpha: Annotated[float, within(0.1, 100)] = 0.2) -> Any:
    """Blends pairs of images and their labels by a weight from Beta(alpha, alpha).

    x = w x_i + (1 - w) x_j, y = w y_i + (1 - w) y_j. (Zhang et al. 2018, "mixup".)"""
    import keras

    return keras.layers.MixUp(alpha, seed=seed)


@register(
    "cut_mix", native="keras.layers.CutMix", mixes_labels=True, tasks="classification multi-label"
)
def cut_mix(seed: int, *, factor: Annotated[float, within(0.1, 1)] = 1.0) -> Any:
    """Pastes a rectangle of another image; labels by its area, from Beta(factor, factor).

    (Yun et al. 2019, "CutMix".)"""
    import keras

    return keras.layers.CutMix(factor, seed=seed)


@register("crop", native="keras.layers.RandomCrop")
def crop(
    seed: int, image_size: tuple[int, int], *, scale: Annotated[float, within(0.05, 1)] = 0.8
) -> Any:
    """Cuts out a random part of `scale` of each side and enlarges it to the whole."""
    import keras

    height, width = image_size
    part = (max(1, round(height * scale)), max(1, round(width * scale)))
    return keras.Sequential(
        [keras.layers.RandomCrop(*part, seed=seed), keras.layers.Resizing(height, width)]
    )
