"""Divides images into folds, each of which is held out once."""

from __future__ import annotations

import numpy as np


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each image; every class is spread over all folds as evenly as possible."""
    rng = np.random.default_rng(seed)
    assigned = np.empty(len(labels), int)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rng.shuffle(places)
        # start each class at another fold, so that small classes do not all go into the first
        assigned[places] = (np.arange(len(places)) + label) % folds
    return assigned


def random_folds(images: int, folds: int, seed: int) -> np.ndarray:
    """A random fold for each image; fold sizes differ by at most one."""
    return np.asarray(np.random.default_rng(seed).permutation(images) % folds)
