"""How well a linear head does on features, by cross-validation."""

from __future__ import annotations

import dataclasses

import numpy as np

from tlkit.features.lbfgs import FOLDS, ROUGH, best_l2, choose_l2, solve_head, stratified_folds


@dataclasses.dataclass
class Probe:
    """What a linear head reaches on images that it was not solved on.

    Attributes:
        accuracy: Share of images named rightly.
        error: Standard error of that.
        l2: Strength that was chosen.
    """

    accuracy: float
    error: float
    l2: float


def linear_probe(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Probe:
    """Accuracy of a solved linear head on held-out folds.

    The strength is chosen by log loss on the same folds, one number for all of them, which
    flatters the accuracy by less than its own error.

    Args:
        features: `(images, features)`.
        labels: Class ids `(images,)`.
        seed: Of the folds.

    Raises:
        ValueError: if a class has fewer than two images.
    """
    logits, ids, l2 = held_out_logits(features, labels, seed)
    accuracy = float((logits.argmax(1) == ids).mean())
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(ids)))
    return Probe(accuracy, error, l2)


def held_out_logits(
    features: np.ndarray, labels: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, float]:
    """What linear heads say of images that they were not solved on.

    Args:
        features: `(images, features)`.
        labels: Class ids `(images,)`.
        seed: Of the folds.

    Returns:
        Logits `(images, classes that occur)`, the labels as positions among those classes, and
        the strength of the penalty that was chosen.

    Raises:
        ValueError: if a class has fewer than two images.
    """
    known, ids = np.unique(labels, return_inverse=True)
    if np.bincount(ids).min() < 2:
        raise ValueError("a linear probe needs two images or more of each class")
    targets = np.eye(len(known))[ids]
    l2 = best_l2(choose_l2(features, ids, targets, seed=seed))
    folds = stratified_folds(ids, FOLDS, seed)
    logits = np.zeros((len(ids), len(known)))
    for fold in range(FOLDS):
        out = folds == fold
        found = solve_head(features[~out], targets[~out], l2, tolerance=ROUGH)
        logits[out] = features[out] @ found.kernel + found.bias
    return logits, ids, l2
