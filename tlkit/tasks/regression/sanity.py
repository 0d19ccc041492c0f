"""Checks of numeric labels, the loss and a linear head before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tlkit.data.record import Record
from tlkit.errors import some_of
from tlkit.finding import Finding
from tlkit.tasks.base import Doubts
from tlkit.tensors import KerasLoss

FAR = 8.0  # robust deviations from which a number is an outlier
SUSPECT = 4.0  # robust deviations of the errors from which a label is doubtful
LISTED = 20


def odd_order(labels: np.ndarray, columns: Sequence[str]) -> Iterator[Finding]:
    """Finds neighbours in an epoch whose numbers are too similar.

    Args:
        labels: Labels, `(n, columns)`, in the order of an epoch.
        columns: Names of the numbers.
    """
    if len(labels) < 30:
        return
    for name, values in zip(columns, labels.T, strict=True):
        if np.ptp(values[1:]) and np.ptp(values[:-1]):
            alike = float(np.corrcoef(values[1:], values[:-1])[0, 1])
            if alike > 6 / np.sqrt(len(values)):
                yield Finding(
                    "order",
                    "warning",
                    f"{name} of neighbouring images is correlated by {alike:.2f}: the images are not "
                    "shuffled",
                    hint="Images must come in random order.",
                )


def far_numbers(records: Sequence[Record]) -> Iterator[Finding]:
    """Numbers far from all others, as caused by a wrong unit or a misplaced decimal point."""
    rows = [record for record in records if record.labels]
    for column in range(max((len(record.labels or ()) for record in rows), default=0)):
        found = []
        for record in rows:
            try:
                found.append((record, float((record.labels or ())[column])))
            except (ValueError, IndexError):  # other texts are rejected when the task learns
                continue
        values = np.array([value for _, value in found])
        if not len(values):
            continue
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle))
        for (record, value), far in zip(found, np.abs(values - middle), strict=True):
            if spread and far > FAR * spread:
                text = (
                    f"{record.name} has {value:g}; the others are about {middle:.4g} ± {spread:.3g}"
                )
                yield Finding("number", "warning", text, (record.name,), float(far / spread))


def odd_loss(loss: KerasLoss, targets: np.ndarray) -> Finding | None:
    """The loss must be zero where the number is correct, and equal on both sides of it.

    Args:
        loss: The loss, as built.
        targets: Two different targets, `(2, outputs)`.
    """
    right, above, below = (float(loss(targets, targets + shift)) for shift in (0.0, 0.5, -0.5))
    if right < 1e-6 and abs(above - below) < 1e-3 * max(above, 1e-6) and above > right:
        return None
    return Finding(
        "loss",
        "warning",
        f"the loss is {right:.3g} where a number is right, {above:.3g} and {below:.3g} half a deviation "
        "beside it",
        hint="It should be least where the number is right.",
    )


def odd_probe(r2: float, error: float) -> Finding | None:
    """A linear head must explain some held-out variance if numbers are related to the images."""
    if r2 > error:
        return None
    return Finding(
        "labels",
        "warning",
        f"a linear head on the backbone's features has an R2 of {r2:.2f} on held-out images: images "
        "and numbers have nothing to do with each other",
        hint="Look whether numbers were shuffled; see: tlkit check",
    )


def doubts(answers: np.ndarray, labels: np.ndarray, deviation: np.ndarray) -> Doubts:
    """Labels far from their held-out predictions, compared with the errors of all.

    Args:
        answers: Answers of a head that was not solved on these images, `(n, columns)`.
        labels: Labels of the images.
        deviation: Standard deviation of each number.
    """
    apart = (np.abs(answers - labels) / deviation).max(axis=1)
    usual = 1.4826 * float(np.median(apart)) or 1.0
    margin = -np.minimum(apart / (2 * SUSPECT * usual), 1.0)
    return Doubts(
        np.argsort(margin, kind="stable"),
        margin,
        apart > SUSPECT * usual,
        [_text(row) for row in labels],
        [_text(row) for row in answers],
    )


def _text(row: np.ndarray) -> str:
    return some_of([f"{value:.4g}" for value in row], LISTED)
