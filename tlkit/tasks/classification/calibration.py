"""How well predicted probabilities match observed accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Expected calibration error and the points of the reliability curve.

    ECE = sum over bins of n_b / n * |accuracy_b - confidence_b|, with bins of equal width in the
    probability of the predicted class. (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", equation 3.)

    Args:
        probabilities: `(n, classes)`.
        labels: Class ids `(n,)`.
        bins: Number of bins.

    Returns:
        `ece`, and `bins`: images, mean probability and accuracy of each bin that is not empty.
    """
    confidence = probabilities.max(1).astype("float64")
    right = probabilities.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows, error = [], 0.0
    for index in np.unique(place):
        inside = place == index
        sure, true = float(confidence[inside].mean()), float(right[inside].mean())
        error += inside.mean() * abs(true - sure)
        rows.append({"images": int(inside.sum()), "confidence": sure, "accuracy": true})
    return {"ece": float(error), "bins": rows}
