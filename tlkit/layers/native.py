"""Keras layers, by the names that `model.insert` accepts."""

from __future__ import annotations

import keras

from tlkit.limits import Fraction, Share
from tlkit.registry import register
from tlkit.tensors import KerasLayer


@register("dropout", native="keras.layers.Dropout")
def dropout(*, rate: Fraction = 0.2) -> KerasLayer:
    """Sets a fraction of the values to zero during training; scales the others by 1 / (1 - rate).

    (Srivastava et al. 2014.)
    """
    return keras.layers.Dropout(rate)


@register("spatial_dropout", native="keras.layers.SpatialDropout2D")
def spatial_dropout(*, rate: Fraction = 0.2) -> KerasLayer:
    """Drops whole channels of a feature map during training (Tompson et al. 2015)."""
    return keras.layers.SpatialDropout2D(rate)


@register("feature_noise", native="keras.layers.GaussianNoise")
def feature_noise(*, stddev: Share = 0.1) -> KerasLayer:
    """Adds Gaussian noise to the values during training."""
    return keras.layers.GaussianNoise(stddev)


@register("gaussian_dropout", native="keras.layers.GaussianDropout")
def gaussian_dropout(*, rate: Fraction = 0.2) -> KerasLayer:
    """Multiplies by Gaussian noise of mean 1 and variance rate / (1 - rate) during training.

    (Srivastava et al. 2014, section 10.)
    """
    return keras.layers.GaussianDropout(rate)
