"""Labels of any form as probabilities of the classes."""

from __future__ import annotations

from typing import Any

import keras


def dense_targets(labels: Any, logits: Any) -> Any:
    """Class ids, one-hot or soft labels as float targets.

    Args:
        labels: Ids `(batch,)` or `(batch, 1)`, or probabilities `(batch, classes)`.
        logits: `(batch, classes)`.

    Returns:
        `(batch, classes)` of the logits' dtype.

    Raises:
        ValueError: if the labels have another shape.
    """
    labels = keras.ops.convert_to_tensor(labels)
    classes = logits.shape[-1]
    if len(labels.shape) == 2 and labels.shape[-1] == 1 and classes != 1:
        labels = keras.ops.squeeze(labels, -1)
    if len(labels.shape) == 1:
        return keras.ops.one_hot(keras.ops.cast(labels, "int32"), classes, dtype=logits.dtype)
    if len(labels.shape) == 2 and labels.shape[-1] == classes:
        return keras.ops.cast(labels, logits.dtype)
    raise ValueError(
        f"labels must be ids (batch,) or probabilities (batch, {classes}), got shape {labels.shape}"
    )
