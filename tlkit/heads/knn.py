"""Classifies each image like the training images nearest to it, without any gradient."""

from __future__ import annotations

from typing import Annotated

import keras
import numpy as np

from tlkit.limits import within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("knn", stored=True, tasks="classification")
def knn(
    features: Tensor,
    classes: int,
    images: int,
    *,
    k: Annotated[int, within(1, 10_000)] = 20,
    temperature: Annotated[float, within(1e-3, 100)] = 0.07,
) -> Tensor:
    """Votes of the k most similar training images, each weighted by exp(cosine / temperature).

    The features of all training images are part of the model, so it grows with their
    number. (Cover and Hart 1967, "Nearest Neighbor Pattern Classification"; weighted as in
    Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination", section 3.4.)

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        images: Number of training images.
        k: Number of neighbours that vote.
        temperature: Divisor of the similarities; smaller values give the nearest more weight.

    Returns:
        Logits `(batch, classes)`: logarithms of the fractions of the votes.
    """
    from keras import ops

    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name="head_pooling")(features)
    unit = keras.layers.UnitNormalization(name="head_unit", dtype="float32")(features)
    # a bias-free dense layer of unit columns is a table of cosine similarities
    similarity = keras.layers.Dense(
        images, use_bias=False, name="head_neighbours", dtype="float32"
    )(unit)
    nearest, _ = ops.top_k(similarity, min(k, images))
    counted = ops.where(similarity >= nearest[:, -1:], similarity / temperature, -1e9)
    votes = keras.layers.Softmax(name="head_votes", dtype="float32")(counted)
    shares = keras.layers.Dense(classes, use_bias=False, name="head_labels", dtype="float32")(votes)
    return ops.log(shares + 1e-7)


def stored_weights(features: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Kernels of the head's dense layers.

    Args:
        features: `(n, channels)`, of unit length.
        labels: `(n,)` class ids.
        classes: Number of classes.
    """
    return {"head_neighbours": features.T, "head_labels": np.eye(classes, dtype="float32")[labels]}
