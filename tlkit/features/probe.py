"""How well a linear head performs on features, by cross-validation."""

from __future__ import annotations

import dataclasses

import numpy as np

from tlkit.features.lbfgs import FOLDS, ROUGH, best_l2, choose_l2, solve_head
from tlkit.tasks.base import Task


@dataclasses.dataclass
class Probe:
    """The out-of-fold performance of a linear head.

    Attributes:
        value: Value of the task's metric.
        error: Standard error of the value.
        l2: Chosen strength of the penalty.
    """

    value: float
    error: float
    l2: float


def linear_probe(task: Task, features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Probe:
    """The task's metric of a solved linear head on held-out folds.

    One strength for all folds is chosen by the loss on these same folds, which biases the
    metric by less than its standard error.

    Args:
        task: Task.
        features: Features, `(images, features)`.
        labels: Labels of the images.
        seed: Seed of the folds.

    Raises:
        ValueError: if there are too few images for the task.
    """
    own, labels = task.among(labels)
    logits, l2 = held_out_logits(own, features, labels, seed)
    value = own.measure(logits, labels)[own.metric.name]
    return Probe(value, own.uncertainty(logits, labels), l2)


def held_out_logits(
    task: Task, features: np.ndarray, labels: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Out-of-fold logits of linear heads.

    Args:
        task: Task all of whose outputs occur; see `Task.among`.
        features: Features, `(images, features)`.
        labels: Labels of the images.
        seed: Seed of the folds.

    Returns:
        Logits `(images, outputs)`, and the chosen strength of the penalty.

    Raises:
        ValueError: if there are too few images for the task.
    """
    folds = task.folds(labels, FOLDS, seed)
    targets = np.asarray(task.targets(labels), "float64")
    l2 = best_l2(choose_l2(features, targets, targets, folds, link=task.link))
    logits = np.zeros(targets.shape)
    for fold in np.unique(folds):
        out = folds == fold
        found = solve_head(features[~out], targets[~out], l2, tolerance=ROUGH, link=task.link)
        logits[out] = features[out] @ found.kernel + found.bias
    return logits, l2
