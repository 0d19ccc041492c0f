"""Represents each class by the mean of its features, without any gradient."""

from __future__ import annotations

from typing import Annotated

import keras
import numpy as np

from tlkit.limits import within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("nearest-mean", stored=True, tasks="classification")
def nearest_mean(
    features: Tensor, classes: int, *, temperature: Annotated[float, within(1e-3, 100)] = 0.05
) -> Tensor:
    """Cosine similarity to each class's mean feature, divided by a temperature.

    The means are computed in one pass over the training images (`stored_weights`).
    (Mensink et al. 2013, "Distance-Based Image Classification"; Snell et al.
    2017, "Prototypical Networks", with cosine similarity.)

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        temperature: Divisor of the similarities; smaller values make probabilities sharper.

    Returns:
        Logits `(batch, classes)`.
    """
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name="head_pooling")(features)
    unit = keras.layers.UnitNormalization(name="head_unit")(features)
    # a bias-free dense layer of unit columns is a table of cosine similarities
    similarity = keras.layers.Dense(classes, use_bias=False, name="head_means", dtype="float32")(
        unit
    )
    return keras.layers.Rescaling(1.0 / temperature, name="head_logits", dtype="float32")(
        similarity
    )


def stored_weights(features: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Kernel of the head's dense layer: the unit-length mean of each class's unit-length features.

    Args:
        features: `(n, channels)`, of unit length.
        labels: `(n,)` class ids.
        classes: Number of classes; each must have at least one image.
    """
    means = np.stack([features[labels == k].mean(axis=0) for k in range(classes)], axis=1)
    lengths = np.linalg.norm(means, axis=0, keepdims=True)
    return {"head_means": means / np.maximum(lengths, 1e-12)}
