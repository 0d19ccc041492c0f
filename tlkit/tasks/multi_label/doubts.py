"""Probably wrong or missing labels: confident learning for each label separately."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.tasks.base import Doubts
from tlkit.tasks.multi_label.metrics import sigmoid


def label_doubts(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Doubts:
    """Finds images with a wrong or a missing label.

    Having or not having a label is suspect if the opposite is more probable, and at least as
    probable as it is on average for the images that are labelled so. (Northcutt et al. 2021,
    "Confident Learning", equations 1 to 3, with two classes for each label.) An image is as
    doubtful as its most doubtful label.

    Args:
        logits: Logits of held-out images, `(n, classes)`.
        labels: 0 or 1, `(n, classes)`; both values occur for each class.
        classes: Names of the classes.
    """
    p, has = sigmoid(logits).astype("float64"), labels > 0
    own = np.where(has, p, 1 - p)
    with_label = (p * has).sum(0) / np.maximum(has.sum(0), 1)
    without = ((1 - p) * ~has).sum(0) / np.maximum((~has).sum(0), 1)
    needed = np.where(has, without, with_label)
    margin = 2 * own - 1
    suspect = (1 - own >= needed) & (margin < 0)
    # a suspect label comes first among the labels of an image
    worst = np.where(suspect, margin - 2, margin).argmin(1)
    rows = np.arange(len(p))
    return Doubts(
        np.argsort(margin[rows, worst], kind="stable"),
        margin[rows, worst],
        suspect[rows, worst],
        [_words(classes[k], bool(has[i, k])) for i, k in enumerate(worst)],
        [_words(classes[k], not has[i, k]) for i, k in enumerate(worst)],
    )


def _words(name: str, has: bool) -> str:
    return name if has else f"without {name}"
