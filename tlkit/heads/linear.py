"""Pooled features, dropout, one dense layer."""

from __future__ import annotations

from typing import Any, Literal

from tlkit.registry import Fraction, register


@register("linear")
def linear(
    features: Any,
    classes: int,
    *,
    dropout: Fraction = 0.2,
    pooling: Literal["avg", "max"] = "avg",
) -> Any:
    """Global pooling, dropout and a dense layer.

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        dropout: Share of pooled features dropped while training.
        pooling: Mean or maximum over the places of the feature map.

    Returns:
        Logits `(batch, classes)`.
    """
    import keras

    if len(features.shape) == 4:
        pool = (
            keras.layers.GlobalAveragePooling2D
            if pooling == "avg"
            else keras.layers.GlobalMaxPooling2D
        )
        features = pool(name="head_pooling")(features)
    if dropout:
        features = keras.layers.Dropout(dropout, name="head_dropout")(features)
    # zeros: the first loss is log K, and nothing random is left in weights no image ever moves;
    # float32 also under mixed precision: the softmax needs the digits
    dense = keras.layers.Dense(
        classes, kernel_initializer="zeros", name="head_logits", dtype="float32"
    )
    return dense(features)
