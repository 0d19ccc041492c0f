"""Images divided into folds, of which each is held out once."""

from __future__ import annotations

import numpy as np


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each image, every class spread over all folds as evenly as can be."""
    rng = np.random.default_rng(seed)
    assigned = np.empty(len(labels), int)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        rng.shuffle(places)
        # another first fold for each class, so that small classes do not all go into the first
        assigned[places] = (np.arange(len(places)) + label) % folds
    return assigned


def random_folds(images: int, folds: int, seed: int) -> np.ndarray:
    """A fold for each image, drawn; their sizes differ by one at the most."""
    return np.asarray(np.random.default_rng(seed).permutation(images) % folds)
