"""From which probability on an image has a label."""

from __future__ import annotations

import numpy as np

USUAL = 0.5
FEWEST = 3  # images of a class by which a threshold can be chosen


def best_thresholds(answers: np.ndarray, labels: np.ndarray) -> list[float]:
    """For each class the probability that gives the best F1 on these images.

    Of equally good ones, that which is nearest to a half; a half where fewer than `FEWEST` images are of
    a class, or all. (Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize F1 Measure".)

    Args:
        answers: Probabilities `(n, classes)`.
        labels: 0 or 1, `(n, classes)`.
    """
    return [_best(p, own) for p, own in zip(answers.T, labels.T, strict=True)]


def _best(p: np.ndarray, own: np.ndarray) -> float:
    total = int(own.sum())
    if total < FEWEST or total == len(own):
        return USUAL
    order = np.argsort(-p, kind="stable")
    p, right = p[order].astype("float64"), np.cumsum(own[order])
    f1 = 2 * right / (np.arange(1, len(p) + 1) + total)
    below = np.append(p[1:], 0.0)
    f1[p == below] = -1.0  # between equal probabilities is no threshold
    middle = np.float32((p + below) / 2).astype("float64")
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    # a half itself, where it parts the same images
    half = best[(below[best] < USUAL) & (p[best] >= USUAL)]
    if half.size:
        return USUAL
    return float(middle[best[np.abs(middle[best] - USUAL).argmin()]])
