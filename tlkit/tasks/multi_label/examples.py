"""Images worth looking at: labels that were missed, and those that were given wrongly."""

from __future__ import annotations

import numpy as np


def choose_examples(
    answers: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, most: int
) -> dict[str, list[tuple[int, int]]]:
    """Image and label of the worst mistakes, one an image and kind, the worst first.

    Args:
        answers: Probabilities `(n, classes)`.
        labels: 0 or 1, `(n, classes)`; a row of -1 is unknown.
        thresholds: `(classes,)`.
        most: Of each kind.
    """
    chosen = answers >= thresholds.astype(np.float32)
    # how far on the wrong side of its threshold a label is, as a share of the way to 0 or 1
    below = (thresholds - answers) / np.maximum(thresholds, 1e-6)
    above = (answers - thresholds) / np.maximum(1 - thresholds, 1e-6)
    missed = np.where((labels == 1) & ~chosen, below, -1.0)
    wrong = np.where((labels == 0) & chosen, above, -1.0)
    return {"missed": _worst(missed, most), "wrong": _worst(wrong, most)}


def _worst(badness: np.ndarray, most: int) -> list[tuple[int, int]]:
    worst = badness.max(1)
    order = [i for i in np.argsort(-worst, kind="stable")[:most] if worst[i] >= 0]
    return [(int(i), int(badness[i].argmax())) for i in order]
