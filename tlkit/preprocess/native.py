"""Preprocessing steps that Keras has."""

from __future__ import annotations

from typing import Any

from tlkit.registry import register


@register("standardize", native="keras.layers.Normalization", leaves="scaled")
def standardize() -> Any:
    """Subtracts the training images' mean of each channel and divides by its deviation.

    In a recipe it takes the place of the backbone's own scaling.
    """
    import keras

    return keras.layers.Normalization(axis=-1)
