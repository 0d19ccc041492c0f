"""Converts labels of any form to class probabilities, and predictions of either form to logits."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from tlkit.tensors import Tensor


def dense_targets(labels: Tensor, logits: Tensor) -> Tensor:
    """Converts class ids, one-hot or soft labels to float targets.

    An invalid class id is rejected where values can be inspected (in eager mode). In a graph
    it has the same effect as in Keras's `SparseCategoricalCrossentropy`: an error on a CPU,
    NaN elsewhere.

    Args:
        labels: Ids `(batch, ...)` or `(batch, ..., 1)`, or probabilities `(batch, ..., classes)`.
        logits: `(batch, ..., classes)`.

    Returns:
        `(batch, ..., classes)` of the logits' dtype.

    Raises:
        ValueError: if there is only one class, the labels have another shape, or an id is
            out of range.
    """
    labels = keras.ops.convert_to_tensor(labels)
    classes, rank = logits.shape[-1], len(logits.shape)
    if rank < 2 or classes is None or classes < 2:
        raise ValueError(
            "the last axis of the predictions must have one output for each of two or more "
            f"classes, got shape {tuple(logits.shape)}; for a single output use a loss of two "
            "classes, as keras.losses.BinaryCrossentropy"
        )
    if len(labels.shape) == rank and labels.shape[-1] == 1:
        labels = keras.ops.squeeze(labels, -1)
    ids = len(labels.shape) == rank - 1
    sides = list(zip(labels.shape, logits.shape, strict=False))
    if not (ids or len(labels.shape) == rank) or any(
        a != b for a, b in sides if None not in (a, b)
    ):
        places = "".join(f", {side}" for side in logits.shape[1:-1])
        raise ValueError(
            f"labels must be ids (batch{places}) or probabilities (batch{places}, {classes}) for "
            f"predictions of shape {tuple(logits.shape)}, got shape {tuple(labels.shape)}"
        )
    return _one_hot(labels, logits) if ids else keras.ops.cast(labels, logits.dtype)


def _one_hot(ids: Any, logits: Tensor) -> Tensor:
    ops, classes = keras.ops, logits.shape[-1]
    seen = values_of(ids)
    if seen is not None:
        wrong = seen[~((seen >= 0) & (seen < classes) & (seen == np.floor(seen)))]
        if wrong.size:
            raise ValueError(
                f"class ids must be whole numbers from 0 to {classes - 1}, for predictions of "
                f"{classes} classes; got {wrong.flat[0]:g}"
            )
    whole = ops.cast(ids, "int32")
    targets = ops.one_hot(whole, classes, dtype=logits.dtype)
    if seen is not None:
        return targets
    known = (whole >= 0) & (whole < classes) & (ops.cast(whole, ids.dtype) == ids)
    # TensorFlow's kernel on a CPU stops at an unknown id; it must be asked, if only for that
    asked = ops.sparse_categorical_crossentropy(whole, ops.zeros_like(logits), from_logits=True)
    known = ops.logical_and(known, ops.isfinite(asked))
    return ops.where(ops.expand_dims(known, -1), targets, ops.full_like(targets, np.nan))


def as_logits(predictions: Any, from_logits: bool) -> Tensor:
    """Converts predictions to logits, in float32 or higher precision.

    Args:
        predictions: Logits, or probabilities.
        from_logits: Whether predictions are logits. Softmax outputs that are passed as logits
            cause a warning, as in Keras; the softmax's inputs are used instead where they can
            be found.
    """
    ops = keras.ops
    predictions = ops.convert_to_tensor(predictions)
    logits = getattr(predictions, "_keras_logits", None)
    operation: Any = getattr(predictions, "op", None)
    if logits is None and getattr(operation, "type", None) == "Softmax":
        logits = operation.inputs[0]
    if from_logits and (logits is not None or _are_probabilities(predictions)):
        warnings.warn(
            "the loss expects logits (from_logits=True), but the predictions are outputs of a "
            "softmax. Leave the softmax out, or set from_logits=False.",
            stacklevel=4,
        )
    kind = keras.backend.result_type(predictions.dtype, "float32")
    if logits is not None:
        return ops.cast(logits, kind)
    predictions = ops.cast(predictions, kind)
    if from_logits:
        return predictions
    least = keras.config.epsilon()
    shares = predictions / ops.sum(predictions, axis=-1, keepdims=True)
    return ops.log(ops.clip(shares, least, 1.0 - least))


def _are_probabilities(predictions: Any) -> bool:
    values = values_of(predictions)
    if values is None or values.ndim < 2 or len(values) < 2:
        return False
    return bool((values >= 0).all() and (np.abs(values.sum(-1) - 1) < 1e-3).all())


def values_of(tensor: Any) -> np.ndarray | None:
    """The values of a tensor; None while a graph is being traced, which has no values yet."""
    try:
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
