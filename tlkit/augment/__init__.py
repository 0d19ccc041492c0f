"""Augmentations for images in [0, 255], by short name; those not in Keras are one file each."""

from typing import TYPE_CHECKING

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

if TYPE_CHECKING:  # what editors complete; the names come from the registry
    from tlkit.augment.gaussian_noise import PixelNoise as PixelNoise
    from tlkit.augment.hsv_power import HSVPower as HSVPower
    from tlkit.augment.native import aug_mix as aug_mix
    from tlkit.augment.native import brightness as brightness
    from tlkit.augment.native import contrast as contrast
    from tlkit.augment.native import crop as crop
    from tlkit.augment.native import cut_mix as cut_mix
    from tlkit.augment.native import elastic as elastic
    from tlkit.augment.native import erasing as erasing
    from tlkit.augment.native import flip as flip
    from tlkit.augment.native import gaussian_blur as gaussian_blur
    from tlkit.augment.native import grayscale as grayscale
    from tlkit.augment.native import hue as hue
    from tlkit.augment.native import mix_up as mix_up
    from tlkit.augment.native import perspective as perspective
    from tlkit.augment.native import posterization as posterization
    from tlkit.augment.native import rand_augment as rand_augment
    from tlkit.augment.native import rotation as rotation
    from tlkit.augment.native import saturation as saturation
    from tlkit.augment.native import sharpness as sharpness
    from tlkit.augment.native import shear as shear
    from tlkit.augment.native import solarization as solarization
    from tlkit.augment.native import translation as translation
    from tlkit.augment.native import zoom as zoom
    from tlkit.augment.pca_color import PCAColor as PCAColor
    from tlkit.augment.quarter_turns import QuarterTurns as QuarterTurns
    from tlkit.augment.salt_and_pepper import SaltAndPepper as SaltAndPepper

__getattr__, __dir__ = exports(__name__)
