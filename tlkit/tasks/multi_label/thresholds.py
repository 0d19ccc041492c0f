"""The probability threshold of each label."""

from __future__ import annotations

import numpy as np

USUAL = 0.5
FEWEST = 3  # fewest images of a class for choosing a threshold


def best_thresholds(answers: np.ndarray, labels: np.ndarray) -> list[float]:
    """For each class, the threshold with the best F1 on these images.

    Among equally good ones, the one nearest to 0.5; 0.5 if fewer than `FEWEST` images have the
    class, or if all have it. (Lipton et al. 2014, "Optimal Thresholding of Classifiers to Maximize
    F1 Measure".)

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
    f1[p == below] = -1.0  # no threshold lies between equal probabilities
    middle = np.float32((p + below) / 2).astype("float64")
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    # 0.5 itself, if it separates the same images
    half = best[(below[best] < USUAL) & (p[best] >= USUAL)]
    if half.size:
        return USUAL
    return float(middle[best[np.abs(middle[best] - USUAL).argmin()]])
