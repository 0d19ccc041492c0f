"""Pooled features, dropout and one dense layer."""

from __future__ import annotations

from typing import Literal

import keras

from tlkit import registry
from tlkit.limits import Fraction, Initializer, kernel_has_a_direction
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("linear", rule="kernel_has_a_direction")
def linear(
    features: Tensor,
    classes: int,
    *,
    dropout: Fraction = 0.2,
    pooling: Literal["avg", "max"] = "avg",
    initializer: Initializer = "zeros",
    drop_connect: Fraction = 0.0,
    spectral_normalization: bool = False,
) -> Tensor:
    """Global pooling, dropout and a dense layer.

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        dropout: Fraction of pooled features dropped during training.
        pooling: Mean or maximum over the positions of the feature map.
        initializer: Initializer of the kernel. With zeros the first loss is log K, and
            weights that no image ever updates hold no random values.
        drop_connect: Fraction of the kernel's entries dropped during training.
        spectral_normalization: Whether to divide the kernel by its largest singular value
            (Miyato et al. 2018); needs an initializer other than zeros.

    Returns:
        Logits `(batch, classes)`.

    Raises:
        ValueError: if the arguments conflict.
    """
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
