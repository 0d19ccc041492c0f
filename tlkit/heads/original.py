"""The classifier that the network was pretrained with."""

from __future__ import annotations

from typing import Any

from tlkit.registry import register


@register("original", tasks="classification")
def original(features: Any, classes: int) -> Any:
    """Keeps the network's own top and its own classes, as ImageNet's 1000.

    Args:
        features: Probabilities `(batch, classes)` of the network with its top.
        classes: Number of its classes.

    Returns:
        Log probabilities `(batch, classes)`, which softmax leaves as they were.
    """
    import keras

    if features.shape[-1] != classes:
        raise ValueError(f"the top has {features.shape[-1]} outputs, expected {classes}")
    clipped = keras.ops.maximum(keras.ops.cast(features, "float32"), 1e-12)
    return keras.ops.log(clipped)
