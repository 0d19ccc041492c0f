"""Pooled features, dropout, one dense layer."""

from __future__ import annotations

from typing import Any, Literal

from tlkit import registry
from tlkit.limits import Fraction, Initializer, kernel_has_a_direction
from tlkit.registry import register


@register("linear", rule="kernel_has_a_direction")
def linear(
    features: Any,
    classes: int,
    *,
    dropout: Fraction = 0.2,
    pooling: Literal["avg", "max"] = "avg",
    initializer: Initializer = "zeros",
    drop_connect: Fraction = 0.0,
    spectral_normalization: bool = False,
) -> Any:
    """Global pooling, dropout and a dense layer.

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        dropout: Share of pooled features dropped while training.
        pooling: Mean or maximum over the places of the feature map.
        initializer: Of the kernel. Zeros make the first loss log K and leave
            nothing random in weights that no image ever moves.
        drop_connect: Share of the kernel's entries dropped while training.
        spectral_normalization: Divide the kernel by its largest singular value
            (Miyato et al. 2018); needs another initializer than zeros.

    Returns:
        Logits `(batch, classes)`.

    Raises:
        ValueError: if the arguments exclude each other.
    """
    import keras

    kernel_has_a_direction(initializer, drop_connect, spectral_normalization)
    if len(features.shape) == 4:
        pool = (
            keras.layers.GlobalAveragePooling2D
            if pooling == "avg"
            else keras.layers.GlobalMaxPooling2D
        )
        features = pool(name="head_pooling")(features)
    if dropout:
        features = keras.layers.Dropout(dropout, name="head_dropout")(features)
    # float32 also under mixed precision: the softmax needs the digits
    arguments = {
        "kernel_initializer": registry.INITIALIZERS.build(initializer),
        "name": "head_logits",
        "dtype": "float32",
    }
    if drop_connect:
        dense = registry.LAYERS.build("drop_connect", classes, rate=drop_connect, **arguments)
    else:
        dense = keras.layers.Dense(classes, **arguments)
    if spectral_normalization:
        dense = keras.layers.SpectralNormalization(dense, dtype="float32")
    return dense(features)
