"""Images to show: labels that were missed, and labels that were given wrongly."""

from __future__ import annotations

import numpy as np


def choose_examples(
    answers: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, most: int
) -> dict[str, list[tuple[int, int]]]:
    """Image and label of the worst mistakes, one per image and kind, worst first.

    Args:
        answers: Probabilities `(n, classes)`.
        labels: 0 or 1, `(n, classes)`; a row of -1 is unknown.
        thresholds: Threshold of each class, `(classes,)`.
        most: Maximum number of each kind.
    """
    chosen = answers >= thresholds.astype(np.float32)
    # how far a label is on the wrong side of its threshold, as a fraction of the way to 0 or 1
    below = (thresholds - answers) / np.maximum(thresholds, 1e-6)
    above = (answers - thresholds) / np.maximum(1 - thresholds, 1e-6)
    missed = np.where((labels == 1) & ~chosen, below, -1.0)
    wrong = np.where((labels == 0) & chosen, above, -1.0)
    return {"missed": _worst(missed, most), "wrong": _worst(wrong, most)}


def _worst(badness: np.ndarray, most: int) -> list[tuple[int, int]]:
    worst = badness.max(1)
    order = [i for i in np.argsort(-worst, kind="stable")[:most] if worst[i] >= 0]
    return [(int(i), int(badness[i].argmax())) for i in order]
