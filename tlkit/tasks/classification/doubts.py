"""Labels that a network would not give: confident learning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.tasks.base import Doubts
from tlkit.tasks.classification.metrics import softmax

MOST_CELLS = 1 << 22  # probabilities in memory at once


def label_doubts(logits: np.ndarray, ids: np.ndarray, classes: Sequence[str]) -> Doubts:
    """Finds labels that are probably wrong.

    Linear heads say of images that they were not solved on how probable each class is. A
    label is suspect where another class is at least as probable as it is for its own images on
    average, and more so than the label's own. (Northcutt et al. 2021, "Confident Learning",
    equations 1 to 3; ranked by the normalised margin of section 3.2.)

    Args:
        logits: Of held-out images, `(images, classes)`.
        ids: Class ids `(images,)`, of which each occurs.
        classes: Their names.
    """
    # by parts, as of thousands of classes the probabilities of all images would fill the memory
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
