"""A hidden layer between the pooled features and the logits."""

from __future__ import annotations

from typing import Any

from tlkit.heads.linear import linear
from tlkit.registry import Count, Fraction, register


@register("mlp")
def mlp(features: Any, classes: int, *, units: Count = 256, dropout: Fraction = 0.2) -> Any:
    """Global average pooling, one hidden ReLU layer, dropout and a dense layer.

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        units: Width of the hidden layer.
        dropout: Share of its outputs dropped while training.

    Returns:
        Logits `(batch, classes)`.
    """
    import keras

    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name="head_pooling")(features)
    hidden = keras.layers.Dense(units, activation="relu", name="head_hidden")(features)
    return linear(hidden, classes, dropout=dropout)
