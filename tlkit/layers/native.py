"""Layers that Keras has, by the names that `model.insert` knows."""

from __future__ import annotations

from typing import Any

from tlkit.limits import Fraction, Share
from tlkit.registry import register


@register("dropout", native="keras.layers.Dropout")
def dropout(*, rate: Fraction = 0.2) -> Any:
    """Sets a share of the values to zero while training, the others scaled by 1 / (1 - rate).

    (Srivastava et al. 2014.)
    """
    import keras

    return keras.layers.Dropout(rate)


@register("spatial_dropout", native="keras.layers.SpatialDropout2D")
def spatial_dropout(*, rate: Fraction = 0.2) -> Any:
    """Drops whole channels of a feature map while training (Tompson et al. 2015)."""
    import keras

    return keras.layers.SpatialDropout2D(rate)


@register("feature_noise", native="keras.layers.GaussianNoise")
def feature_noise(*, stddev: Share = 0.1) -> Any:
    """Adds Gaussian noise to the values while training."""
    import keras

    return keras.layers.GaussianNoise(stddev)


@register("gaussian_dropout", native="keras.layers.GaussianDropout")
def gaussian_dropout(*, rate: Fraction = 0.2) -> Any:
    """Multiplies by Gaussian noise of mean 1 and variance rate / (1 - rate) while training.

    (Srivastava et al. 2014, section 10.)
    """
    import keras

    return keras.layers.GaussianDropout(rate)
