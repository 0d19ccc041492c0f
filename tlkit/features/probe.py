"""How well a linear head does on features, by cross-validation."""

from __future__ import annotations

import dataclasses

import numpy as np

from tlkit.features.lbfgs import FOLDS, ROUGH, best_l2, choose_l2, solve_head
from tlkit.tasks.base import Task


@dataclasses.dataclass
class Probe:
    """What a linear head reaches on images that it was not solved on.

    Attributes:
        value: Of the task's metric.
        error: Standard error of that.
        l2: Strength that was chosen.
    """

    value: float
    error: float
    l2: float


def linear_probe(task: Task, features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Probe:
    """The task's metric of a solved linear head on held-out folds.

    The strength is chosen by the loss on the same folds, one number for all of them, which
    flatters the metric by less than its own error.

    Args:
        task: What is learned.
        features: `(images, features)`.
        labels: Of the images.
        seed: Of the folds.

    Raises:
        ValueError: if there are too few images of what is learned.
    """
    own, labels = task.among(labels)
    logits, l2 = held_out_logits(own, features, labels, seed)
    value = own.measure(logits, labels)[own.metric.name]
    return Probe(value, own.uncertainty(logits, labels), l2)


def held_out_logits(
    task: Task, features: np.ndarray, labels: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float]:
    """What linear heads say of images that they were not solved on.

    Args:
        task: What is learned, of outputs that all occur; see `Task.among`.
        features: `(images, features)`.
        labels: Of the images.
        seed: Of the folds.

    Returns:
        Logits `(images, outputs)`, and the strength of the penalty that was chosen.

    Raises:
        ValueError: if there are too few images of what is learned.
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
