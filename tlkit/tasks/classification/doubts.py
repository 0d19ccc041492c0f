"""Probably wrong labels, found by confident learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.tasks.base import Doubts
from tlkit.tasks.classification.metrics import softmax

MOST_CELLS = 1 << 22  # most probabilities in memory at once


def label_doubts(logits: np.ndarray, ids: np.ndarray, classes: Sequence[str]) -> Doubts:
    """Finds labels that are probably wrong.

    Class probabilities are predicted out of fold by linear heads. A label is suspect if another
    class is more probable, and at least as probable as it is on average for that class's own
    images. (Northcutt et al. 2021, "Confident Learning", equations 1 to 3; ranked by the normalised
    margin of section 3.2.)

    Args:
        logits: Logits of held-out images, `(images, classes)`.
        ids: Class ids, `(images,)`; each class occurs.
        classes: Names of the classes.
    """
    # in parts, as with thousands of classes the probabilities of all images would fill the memory
    parts = np.array_split(np.arange(len(ids)), -(-logits.size // MOST_CELLS))
    own = np.concatenate(
        [_probabilities(logits[part])[np.arange(len(part)), ids[part]] for part in parts]
    )
    counts = np.bincount(ids, minlength=len(classes))
    thresholds = np.bincount(ids, own, len(classes)) / counts
    margin, suspect, guess = np.empty(len(ids)), np.empty(len(ids), bool), np.empty(len(ids), int)
    for part in parts:
        p, rows = _probabilities(logits[part]), np.arange(len(part))
        confident = np.where(p >= thresholds, p, 0.0)
        best = confident.argmax(1)
        suspect[part] = (confident[rows, best] > 0) & (best != ids[part])
        p[rows, ids[part]] = -1.0
        guess[part] = p.argmax(1)
        margin[part] = own[part] - p[rows, guess[part]]
    return Doubts(
        np.argsort(margin, kind="stable"),
        margin,
        suspect,
        [classes[k] for k in ids],
        [classes[k] for k in guess],
    )


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.asarray(softmax(logits)).astype("float64")
