"""Accuracy and what stands behind it, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.evaluate.calibration import calibration
from tlkit.evaluate.intervals import intervals


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `(n, classes)` of logits, in float64 and rounded to float32 at the end."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponents = np.exp(shifted)
    return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


def loss_and_accuracy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Mean cross-entropy in nats, and the share of right answers."""
    chosen = np.maximum(softmax(logits)[np.arange(len(labels)), labels], 1e-12)
    right = logits.argmax(axis=1) == labels
    return float(-np.log(chosen.astype(np.float64)).mean()), float(right.mean())


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts `(classes, classes)`: a row is a true class, a column a predicted one."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of images whose class is among the k most probable."""
    nearest = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((nearest == labels[:, None]).any(axis=1).mean())


def class_table(matrix: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class; None where there is nothing to divide by."""
    rows = []
    for index, name in enumerate(classes):
        right = int(matrix[index, index])
        actual, guessed = int(matrix[index].sum()), int(matrix[:, index].sum())
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
    """All figures of a set of predictions.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` class ids; -1 where the class is unknown, which is left out.
        classes: Names.

    Returns:
        `images`, `loss`, `accuracy`, `balanced_accuracy`, `macro_f1`,
        `top_5_accuracy` (from six classes on), `intervals` (95 %), `calibration`,
        `per_class` and `confusion`.
    """
    known = labels >= 0
    probabilities, labels = probabilities[known], labels[known]
    if not len(labels):
        return {"images": 0}
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
    table = class_table(matrix, classes)
    chosen = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    recalls = [row["recall"] for row in table if row["recall"] is not None]
    scores = [row["f1"] for row in table if row["f1"] is not None]
    result: dict[str, Any] = {
        "images": len(labels),
        "loss": float(-np.log(chosen.astype(np.float64)).mean()),
        "accuracy": float(np.trace(matrix) / len(labels)),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": float(np.mean(scores)),
    }
    if len(classes) > 5:
        result["top_5_accuracy"] = top_k_accuracy(probabilities, labels, 5)
    result["intervals"] = intervals(matrix)
    result["calibration"] = calibration(probabilities, labels)
    return {**result, "per_class": table, "confusion": matrix.tolist()}
