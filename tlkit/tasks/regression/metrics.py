"""Regression errors, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
MOST_POINTS = 2000  # most images whose values the plots show


def explained(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """R2 of each column: 1 - sum (y - f)^2 / sum (y - mean y)^2; NaN if all labels are equal.

    Args:
        found: Predictions, `(n, columns)`, or many such sets, `(..., n, columns)`.
        true: True values, in the same shape.
    """
    left = np.square(true - found).sum(-2)
    spread = np.square(true - true.mean(-2, keepdims=True)).sum(-2)
    differ = np.ptp(true, axis=-2) > 0
    return np.asarray(np.where(differ, 1 - left / np.where(differ, spread, 1.0), np.nan))


def mean_known(values: np.ndarray) -> float | None:
    """The mean of the values that are not NaN."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def evaluate(
    answers: np.ndarray, labels: np.ndarray, columns: Sequence[str], deviation: np.ndarray
) -> dict[str, Any]:
    """All metrics of a set of answers.

    Args:
        answers: Answers, `(n, columns)`, in the units of the labels.
        labels: True values, `(n, columns)`; a row of NaN is unknown and left out.
        columns: Names of the columns.
        deviation: Standard deviations of the training labels, used by the loss, `(columns,)`.

    Returns:
        `images`, `loss` (mean squared error of standardised numbers), `r2` (mean over the columns),
        `mae` and `rmse` if there is one column, `intervals` (95 %, bootstrap over the images),
        `per_output` and `points`, the true and predicted values of some images.
    """
    known = np.isfinite(labels).all(axis=1)
    found, true = answers[known].astype("float64"), labels[known].astype("float64")
    if not len(true):
        return {"images": 0}
    error = found - true
    result: dict[str, Any] = {
        "images": len(true),
        "loss": float(np.square(error / deviation).mean()),
        "r2": mean_known(explained(found, true)),
    }
    r2, rows = explained(found, true), []
    for k, name in enumerate(columns):
        rows.append(
            {
                "output": name,
                "r2": float(r2[k]) if np.isfinite(r2[k]) else None,
                "mae": float(np.abs(error[:, k]).mean()),
                "rmse": float(np.sqrt(np.square(error[:, k]).mean())),
                "bias": float(error[:, k].mean()),
                "median_error": float(np.median(np.abs(error[:, k]))),
            }
        )
    if len(columns) == 1:
        result |= {key: rows[0][key] for key in ("mae", "rmse")}
    result["intervals"] = _intervals(found, true)
    result["per_output"] = rows
    shown = np.unique(np.linspace(0, len(true) - 1, min(len(true), MOST_POINTS)).astype(int))
    result["points"] = {"true": _rounded(true[shown]), "predicted": _rounded(found[shown])}
    return result


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in row] for row in values]


def _intervals(found: np.ndarray, true: np.ndarray) -> dict[str, list[float]]:
    """Percentile intervals by the bootstrap (Efron and Tibshirani 1993, section 13.3)."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {"r2": [], "mae": [], "rmse": []}
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(true), len(true))
        error = found[rows] - true[rows]
        value = mean_known(explained(found[rows], true[rows]))
        drawn["r2"] += [] if value is None else [value]
        drawn["mae"].append(float(np.abs(error).mean()))
        drawn["rmse"].append(float(np.sqrt(np.square(error).mean(0)).mean()))
    kept = drawn if true.shape[1] == 1 else {"r2": drawn["r2"]}
    return {
        name: [float(f"{x:.4g}") for x in np.percentile(values, [2.5, 97.5])]
        for name, values in kept.items()
        if values
    }
