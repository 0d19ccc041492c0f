"""The classifier that the network was pretrained with."""

from __future__ import annotations

import keras

from tlkit.registry import register
from tlkit.tensors import Tensor


@register("original", tasks="classification")
def original(features: Tensor, classes: int) -> Tensor:
    """Keeps the network's own top and its own classes, such as ImageNet's 1000.

    Args:
        features: Probabilities `(batch, classes)` from the network with its top.
        classes: Number of the network's classes.

    Returns:
        Log probabilities `(batch, classes)`; softmax turns them back into the probabilities.
    """
    if features.shape[-1] != classes:
        raise ValueError(f"the top has {features.shape[-1]} outputs, expected {classes}")
    clipped = keras.ops.maximum(keras.ops.cast(features, "float32"), 1e-12)
    return keras.ops.log(clipped)
