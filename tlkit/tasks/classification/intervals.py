"""Confidence intervals of metrics, by bootstrap over the evaluated images."""

from __future__ import annotations

from typing import Any

import numpy as np

RESAMPLES = 2000
MOST_CLASSES = 60  # up to this many classes, metrics other than accuracy are resampled


def intervals(matrix: np.ndarray, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Percentile intervals of accuracy, balanced accuracy and macro F1.

    Drawing images with replacement is the same as drawing the cells of the confusion matrix from a
    multinomial. (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.)

    Args:
        matrix: Confusion matrix, `(classes, classes)`, a row for each true class.
        level: Fraction of resamples inside the interval.
        seed: Seed of the resampling.

    Returns:
        Metric -> [low, high].
    """
    count, classes = int(matrix.sum()), len(matrix)
    rng = np.random.default_rng(seed)
    tails = [50 * (1 - level), 50 * (1 + level)]
    accuracy = np.trace(matrix) / count
    drawn = {"accuracy": rng.binomial(count, accuracy, RESAMPLES) / count}
    if classes <= MOST_CLASSES:
        cells = rng.multinomial(count, (matrix / count).ravel(), RESAMPLES)
        cells = cells.reshape(RESAMPLES, classes, classes).astype("float64")
        right = np.einsum("rcc->rc", cells)
        actual, guessed = cells.sum(2), cells.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn["balanced_accuracy"] = np.nanmean(right / actual, axis=1)
            drawn["macro_f1"] = np.nanmean(2 * right / (actual + guessed), axis=1)
    return {
        name: [round(float(x), 4) for x in np.percentile(values, tails)]
        for name, values in drawn.items()
    }
