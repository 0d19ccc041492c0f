"""Accuracy and related metrics, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tlkit.tasks.classification.calibration import calibration
from tlkit.tasks.classification.intervals import intervals

MOST_CELLS = 200  # up to this many classes, the full confusion matrix is stored
MOST_CONFUSED = 1000  # most pairs of classes that are listed instead
AT_ONCE = 1 << 22  # values that are computed at once


def blocks(count: int, classes: int) -> Iterator[slice]:
    """Slices over the rows of `(count, classes)`, in parts of bounded size."""
    step = max(1, AT_ONCE // max(classes, 1))
    return (slice(start, start + step) for start in range(0, count, step))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `(n, classes)` from logits, in float64 and rounded to float32 at the end."""
    result = np.empty(logits.shape, np.float32)
    for rows in blocks(*logits.shape):
        part = logits[rows]
        exponents = np.exp(part.astype(np.float64) - part.max(axis=1, keepdims=True))
        result[rows] = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def most_probable(probabilities: np.ndarray, k: int) -> np.ndarray:
    """Ids `(n, k)` of the most probable classes; ties in class order."""
    parts = [
        np.argsort(-probabilities[rows], axis=1, kind="stable")[:, :k]
        for rows in blocks(*probabilities.shape)
    ]
    return np.concatenate(parts) if parts else np.empty((0, k), np.int64)


def loss_and_accuracy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats, and the fraction of correct answers."""
    chosen = np.maximum(softmax(logits)[np.arange(len(labels)), labels], 1e-12)
    right = logits.argmax(axis=1) == labels
    return float(-np.log(chosen.astype(np.float64)).mean()), float(right.mean())


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts `(classes, classes)`: rows are true classes, columns are predicted ones."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Fraction of images whose class is among the k most probable."""
    nearest = most_probable(probabilities, k)
    return float((nearest == labels[:, None]).any(axis=1).mean())


def confused(labels: np.ndarray, predicted: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """The most frequently confused pairs of classes, at most `MOST_CONFUSED`."""
    wrong = labels != predicted
    pairs, counts = np.unique(
        labels[wrong].astype(np.int64) * len(classes) + predicted[wrong], return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:MOST_CONFUSED]
    return [
        {
            "class": classes[pairs[i] // len(classes)],
            "predicted": classes[pairs[i] % len(classes)],
            "images": int(counts[i]),
        }
        for i in order
    ]


def class_table(
    labels: np.ndarray, predicted: np.ndarray, classes: list[str]
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class; None where the denominator is zero."""
    rows = []
    of_class, named, hit = (
        np.bincount(ids, minlength=len(classes)).tolist()
        for ids in (labels, predicted, labels[labels == predicted])
    )
    for name, actual, guessed, right in zip(classes, of_class, named, hit, strict=True):
        rows.append(
            {
                "class": name,
                "images": actual,
                "precision": right / guessed if guessed else None,
                "recall": right / actual if actual else None,
                "f1": 2 * right / (actual + guessed) if actual + guessed else None,
            }
        )
    return rows


def evaluate(probabilities: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """All metrics of a set of predictions.

    Args:
        probabilities: Probabilities, `(n, classes)`.
        labels: Class ids, `(n,)`; -1 is unknown and left out.
        classes: Names of the classes.

    Returns:
        `images`, `loss`, `accuracy`, `balanced_accuracy`, `macro_f1`,
        `top_5_accuracy` (from six classes on), `intervals` (95 %), `calibration`,
        `per_class`, and `confusion`, the matrix for up to 200 classes, or `confused`, the most
        frequently confused pairs if there are more.
    """
    known = labels >= 0
    probabilities, labels = probabilities[known], labels[known]
    if not len(labels):
        return {"images": 0}
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    table = class_table(labels, predicted, classes)
    chosen = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    recalls = [row["recall"] for row in table if row["recall"] is not None]
    scores = [row["f1"] for row in table if row["f1"] is not None]
    result: dict[str, Any] = {
        "images": len(labels),
        "loss": float(-np.log(chosen.astype(np.float64)).mean()),
        "accuracy": right / len(labels),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": float(np.mean(scores)),
    }
    if len(classes) > 5:
        result["top_5_accuracy"] = top_k_accuracy(probabilities, labels, 5)
    if len(classes) <= MOST_CELLS:
        matrix = confusion_matrix(labels, predicted, len(classes))
        more: dict[str, Any] = {"confusion": matrix.tolist()}
    else:
        matrix = np.array([[right, len(labels) - right], [0, 0]])
        more = {"confused": confused(labels, predicted, classes)}
    sure = intervals(matrix)
    result["intervals"] = sure if "confusion" in more else {"accuracy": sure["accuracy"]}
    result["calibration"] = calibration(probabilities, labels)
    return {**result, "per_class": table, **more}
