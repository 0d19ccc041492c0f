"""Labels that a network would not give, or would: confident learning of each label alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.tasks.base import Doubts
from tlkit.tasks.multi_label.metrics import sigmoid


def label_doubts(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Doubts:
    """Finds images with a label too much or too few.

    A label is suspect where its opposite is at least as probable as it is for its own images on average,
    and more so than itself. (Northcutt et al. 2021, "Confident Learning", equations 1 to 3, with two
    classes for each label.) An image is as doubtful as its most doubtful label.

    Args:
        logits: Of held-out images, `(n, classes)`.
        labels: 0 or 1, `(n, classes)`, of which each has both.
        classes: Their names.
    """
    p, has = sigmoid(logits).astype("float64"), labels > 0
    own = np.where(has, p, 1 - p)
    with_label = (p * has).sum(0) / np.maximum(has.sum(0), 1)
    without = ((1 - p) * ~has).sum(0) / np.maximum((~has).sum(0), 1)
    needed = np.where(has, without, with_label)
    margin = 2 * own - 1
    suspect = (1 - own >= needed) & (margin < 0)
    # among labels of an image, a suspect one comes first
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
