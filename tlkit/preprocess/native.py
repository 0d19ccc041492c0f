"""Preprocessing steps that Keras provides."""

from __future__ import annotations

import keras

from tlkit.registry import register
from tlkit.tensors import KerasLayer


@register("standardize", native="keras.layers.Normalization", leaves="scaled")
def standardize() -> KerasLayer:
    """Standardises each channel by its mean and standard deviation over the training images.

    In a recipe it replaces the backbone's own scaling.
    """
    return keras.layers.Normalization(axis=-1)
