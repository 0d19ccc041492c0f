"""Interprets the curves of a run, in sentences, with a change to try."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tlkit.tasks.base import Metric
from tlkit.text import from_cell

WAITING = 0.3  # data-bound above this fraction of time spent waiting for images
DEAD = 0.5  # fraction of dead ReLU channels that is reported
TINY_UPDATE, HUGE_UPDATE = 1e-6, 0.05  # ratio of update to weights


@dataclasses.dataclass(frozen=True)
class Reading:
    """One observation about the curves.

    Attributes:
        kind: Kind, such as `overfitting`.
        stage: Name of the stage.
        text: The observation, with numbers.
        change: Suggested change to the recipe.
    """

    kind: str
    stage: str
    text: str
    change: str


def read_curves(
    metrics: pathlib.Path, metric: Metric, stages: Sequence[dict[str, Any]]
) -> list[Reading]:
    """Interprets the metrics.csv of a run.

    Args:
        metrics: File to read.
        metric: Metric that was monitored beside the loss.
        stages: `stages` of result.json.
    """
    with open(metrics, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found: list[Reading] = []
    for stage in stages:
        own = [row for row in rows if from_cell(row["stage"]) == stage["name"]]
        epochs = [row for row in own if row["val_loss"]]
        if epochs:
            steps = [row for row in own if not row["val_loss"]]
            found += _read_stage(metric, stage, epochs, steps)
    return found


def _column(rows: Sequence[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows if row.get(name)])


def _read_stage(
    metric: Metric,
    stage: dict[str, Any],
    epochs: list[dict[str, str]],
    steps: list[dict[str, str]],
) -> Iterator[Reading]:
    name = str(stage["name"])
    train, val = _column(epochs, "loss"), _column(epochs, "val_loss")
    torn = _too_high(stage, train, steps)
    if torn:
        yield Reading(
            "rate too high", name, torn, "a third of the learning rate, or learning_rate: auto"
        )
    overfit = _overfitting(train, val)
    if overfit:
        yield Reading(
            "overfitting",
            name,
            overfit,
            "augment, label_smoothing or a head with dropout; early_stopping saves the time",
        )
    elif not torn:
        yield from _slow_or_flat(metric, name, train, val, epochs)
    waits = _column(epochs, "data_wait")
    if len(waits) and waits.mean() > WAITING:
        yield Reading(
            "data-bound",
            name,
            f"{waits.mean():.0%} of the time was spent waiting for images",
            "data.cache: memory or disk, fewer augmentations, or smaller files; see tlkit plan "
            "--profile",
        )
    dead = _column(epochs, "dead_relu")
    if len(dead) and dead[-1] > DEAD and dead[-1] > dead[0] + 0.1:
        yield Reading(
            "dead ReLUs",
            name,
            f"the share of channels that are zero everywhere rose from {dead[0]:.0%} to {dead[-1]:.0%}",
            "a lower learning rate, or global_clipnorm: 1.0",
        )


def _too_high(stage: dict[str, Any], train: np.ndarray, steps: list[dict[str, str]]) -> str | None:
    """Evidence that the learning rate was too high."""
    if stage.get("rollbacks"):
        return (
            f"the loss was no number {len(stage['rollbacks'])} times, and half the rate was taken"
        )
    losses = _column(steps, "loss")
    if len(train) >= 3:
        rises = int((np.diff(train) > 0.02 * train[:-1]).sum())
        if rises > (len(train) - 1) / 2 and train[-1] > 1.1 * train.min():
            return (
                f"the training loss rose in {rises} of {len(train) - 1} epochs, from {train.min():.3g} "
                f"to {train[-1]:.3g}"
            )
    if len(losses) >= 20:
        fifth = len(losses) // 5
        start, end = float(np.median(losses[:fifth])), float(np.median(losses[-fifth:]))
        if end > 1.2 * start:
            return f"the loss of the steps went up, from {start:.3g} to {end:.3g}"
    return None


def _overfitting(train: np.ndarray, val: np.ndarray) -> str | None:
    """Evidence that validation gets worse while training gets better."""
    best = int(val.argmin())
    if len(val) - best < 3 or val[-1] < 1.1 * val[best] or train[-1] > 0.95 * train[best]:
        return None
    return (
        f"since epoch {best + 1} the validation loss rises, from {val[best]:.3g} to {val[-1]:.3g}, while "
        f"the training loss falls from {train[best]:.3g} to {train[-1]:.3g}"
    )


def _slow_or_flat(
    metric: Metric,
    name: str,
    train: np.ndarray,
    val: np.ndarray,
    epochs: list[dict[str, str]],
) -> Iterator[Reading]:
    """Not finished, learning rate too low, underfitting, or a plateau."""
    if len(train) < 3:
        return
    ratios = np.array(
        [float(v) for row in epochs for k, v in row.items() if k.startswith("update_ratio/") and v]
    )
    fell = 1 - train[-1] / train[0]
    seen, held = _column(epochs, metric.name), _column(epochs, metric.val)
    if len(ratios) and np.median(ratios) < TINY_UPDATE:
        yield Reading(
            "rate too low",
            name,
            f"an update changes the weights by {np.median(ratios):.1e} of their length, usual is 1e-3",
            "ten times the learning rate, or learning_rate: auto",
        )
    elif fell < 0.1 and seen[-1] < metric.good and train[-1] < train[0]:
        yield Reading(
            "rate too low",
            name,
            f"in {len(train)} epochs the training loss fell by {fell:.0%} only, from {train[0]:.3g} to "
            f"{train[-1]:.3g}",
            "three times the learning rate, or learning_rate: auto",
        )
    elif val.argmin() == len(val) - 1 and val[-1] < 0.95 * val[-2] and train[-1] < 0.95 * train[-2]:
        yield Reading(
            "not finished",
            name,
            f"in its last epoch the validation loss still fell, from {val[-2]:.3g} to {val[-1]:.3g}",
            f"more epochs than {len(val)}",
        )
    elif seen[-1] < metric.fair and abs(seen[-1] - held[-1]) < 0.05:
        yield Reading(
            "underfitting",
            name,
            f"training {metric.name} is {seen[-1]:.3f}, as low as on validation ({held[-1]:.3f})",
            "let more train (last-blocks, then full), a larger image_size, or another backbone: tlkit "
            "rank",
        )
    elif len(val) >= 6:
        best = int(held.argmax())
        idle = len(val) - 1 - best
        if idle >= len(val) / 2:
            yield Reading(
                "plateau",
                name,
                f"the best validation {metric.name}, {held[best]:.3f}, was there after epoch "
                f"{best + 1} of {len(val)}",
                "fewer epochs, or early_stopping",
            )
