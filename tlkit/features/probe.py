"""How well a linear head does on features, by cross-validation."""

from __future__ import annotations

import dataclasses

import numpy as np

from tlkit.features.lbfgs import FOLDS, choose_l2, solve_head, stratified_folds


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
    known, ids = np.unique(labels, return_inverse=True)
    if np.bincount(ids).min() < 2:
        raise ValueError("a linear probe needs two images or more of each class")
    targets = np.eye(len(known))[ids]
    scores = choose_l2(features, ids, targets, seed=seed)
    l2 = min(scores, key=scores.__getitem__)
    folds = stratified_folds(ids, FOLDS, seed)
    right = np.zeros(len(ids))
    for fold in range(FOLDS):
        out = folds == fold
        found = solve_head(features[~out], targets[~out], l2)
        right[out] = (features[out] @ found.kernel + found.bias).argmax(1) == ids[out]
    accuracy = float(right.mean())
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(ids)))
    return Probe(accuracy, error, l2)
