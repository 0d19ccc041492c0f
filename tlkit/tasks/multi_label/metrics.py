"""Average precision, F1 and related metrics, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 200
FEWEST_RESAMPLES = 50
AT_ONCE = 100_000_000  # most values to process for the confidence intervals
MOST_CURVES = 24  # classes whose precision-recall curve is stored
MOST_POINTS = 100  # points per curve


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities from logits, computed in float64 and rounded to float32 at the end."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype("float64"))), np.float32)


def average_precision(scores: np.ndarray, own: np.ndarray) -> float:
    """AP of one class, sum over n of (R_n - R_(n-1)) P_n; NaN if no image has the class.

    Args:
        scores: Scores, `(n,)`; images with equal scores share one threshold.
        own: Whether each image has the class, `(n,)`.
    """
    return float(_of_resamples(scores, own, np.ones((1, len(own))))[0])


def _of_resamples(scores: np.ndarray, own: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AP for each row of `weights`, `(resamples, n)`: how often each image was drawn."""
    order = np.argsort(-scores, kind="stable")
    scores, own, weights = scores[order], own[order].astype(float), weights[:, order]
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    found = np.cumsum(weights * own, axis=1)[:, ends]
    called = np.cumsum(weights, axis=1)[:, ends]
    gained = np.diff(found, prepend=0.0, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(gained > 0, gained * found / called, 0.0)
        return np.asarray(parts.sum(1) / found[:, -1])


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AP of each class, `(classes,)`."""
    return np.array(
        [average_precision(p, own) for p, own in zip(scores.T, labels.T, strict=True)], float
    )


def uncertainty(scores: np.ndarray, own: np.ndarray) -> float:
    """Standard error of the mean AP, by the bootstrap.

    Args:
        scores: Scores, `(n, classes)`.
        own: Whether each image has each class, `(n, classes)`.
    """
    count = len(own)
    resamples = int(np.clip(AT_ONCE // max(own.size, 1), 20, RESAMPLES))
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), resamples)
    ap = [_of_resamples(p, y, drawn.astype(float)) for p, y in zip(scores.T, own.T, strict=True)]
    means = [value for column in np.stack(ap, 1) if (value := mean_known(column)) is not None]
    return float(np.std(means)) if means else 0.0


def mean_known(values: np.ndarray) -> float | None:
    """The mean of the values that are not NaN."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def loss_of(logits: np.ndarray, labels: np.ndarray) -> float:
    """Binary cross-entropy in nats, averaged over images and classes."""
    wide = logits.astype("float64")
    return float((np.logaddexp(0, wide) - labels * wide).mean())


def f1(right: np.ndarray, called: np.ndarray, there: np.ndarray) -> np.ndarray:
    """2 TP / (called + there); NaN where the denominator is zero."""
    total = called + there
    return np.asarray(np.where(total > 0, 2 * right / np.maximum(total, 1), np.nan))


def evaluate(
    answers: np.ndarray, labels: np.ndarray, classes: Sequence[str], thresholds: np.ndarray
) -> dict[str, Any]:
    """All metrics of a set of answers.

    Args:
        answers: Probabilities `(n, classes)`.
        labels: 0 or 1, `(n, classes)`; a row of -1 is unknown and left out.
        classes: Names of the classes.
        thresholds: Probability threshold of each class, `(classes,)`.

    Returns:
        `images`, `loss` (mean binary cross-entropy), `map`, `f1_micro`, `f1_macro`, `exact`
        (fraction of the images whose labels are all correct), `intervals` (95 %, bootstrap over the
        images),
        `per_class`, and `curves` of the classes with the lowest AP.
    """
    known = (labels >= 0).all(axis=1)
    answers, truth = answers[known], labels[known].astype(bool)
    if not len(truth):
        return {"images": 0}
    chosen = answers >= thresholds.astype(np.float32)
    p = np.clip(answers.astype("float64"), 1e-12, 1 - 1e-12)
    ap = average_precisions(answers, truth)
    right, called, there = (m.sum(0) for m in (chosen & truth, chosen, truth))
    each = f1(right, called, there)
    overall = float(f1(right.sum(), called.sum(), there.sum()))
    result: dict[str, Any] = {
        "images": len(truth),
        "loss": float(-np.where(truth, np.log(p), np.log1p(-p)).mean()),
        "map": mean_known(ap),
        "f1_micro": overall if np.isfinite(overall) else None,
        "f1_macro": mean_known(each),
        "exact": float((chosen == truth).all(axis=1).mean()),
    }
    result["intervals"] = _intervals(answers, truth, chosen)
    result["per_class"] = [
        {
            "class": name,
            "images": int(there[k]),
            "ap": float(ap[k]) if np.isfinite(ap[k]) else None,
            "precision": float(right[k] / called[k]) if called[k] else None,
            "recall": float(right[k] / there[k]) if there[k] else None,
            "f1": float(each[k]) if np.isfinite(each[k]) else None,
            "threshold": float(f"{thresholds[k]:.6g}"),
        }
        for k, name in enumerate(classes)
    ]
    weakest = [k for k in np.argsort(ap, kind="stable") if np.isfinite(ap[k])][:MOST_CURVES]
    result["curves"] = {classes[k]: _curve(answers[:, k], truth[:, k]) for k in sorted(weakest)}
    return result


def _curve(scores: np.ndarray, own: np.ndarray) -> dict[str, list[float]]:
    """Some points of recall and precision as the threshold is lowered."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(own[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    shown = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), MOST_POINTS)).astype(int))]
    recall, precision = right[shown] / right[-1], right[shown] / (shown + 1)
    return {
        "recall": [round(float(v), 4) for v in recall],
        "precision": [round(float(v), 4) for v in precision],
    }


def _intervals(
    answers: np.ndarray, truth: np.ndarray, chosen: np.ndarray
) -> dict[str, list[float]]:
    """Percentile intervals by the bootstrap (Efron and Tibshirani 1993, section 13.3).

    There are none if so many images and classes would take too long.
    """
    resamples = min(RESAMPLES, AT_ONCE // truth.size)
    if resamples < FEWEST_RESAMPLES:
        return {}
    rng, count = np.random.default_rng(0), len(truth)
    drawn = rng.multinomial(count, np.full(count, 1 / count), resamples).astype(float)
    ap = np.stack([_of_resamples(p, own, drawn) for p, own in zip(answers.T, truth.T, strict=True)])
    right, called, there = (drawn @ m for m in (chosen & truth, chosen, truth))
    values = {
        "map": [mean_known(column) for column in ap.T],
        "f1_micro": f1(right.sum(1), called.sum(1), there.sum(1)).tolist(),
        "f1_macro": [mean_known(row) for row in f1(right, called, there)],
    }
    found = {}
    for name, drawn_values in values.items():
        known = [v for v in drawn_values if v is not None and np.isfinite(v)]
        if known:
            found[name] = [round(float(x), 4) for x in np.percentile(known, [2.5, 97.5])]
    return found
