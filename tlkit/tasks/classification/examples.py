"""Images to show: confident mistakes, and those the network is least sure of."""

from __future__ import annotations

import numpy as np


def choose_examples(
    probabilities: np.ndarray, labels: np.ndarray, most: int = 24
) -> dict[str, list[int]]:
    """Positions of the most confident mistakes and of the least certain images, worst first.

    Args:
        probabilities: Probabilities, `(n, classes)`.
        labels: Class ids `(n,)`, -1 where unknown.
        most: Maximum number of each kind.
    """
    best = probabilities.max(1)
    wrong = np.flatnonzero((probabilities.argmax(1) != labels) & (labels >= 0))
    mistakes = wrong[np.argsort(-best[wrong], kind="stable")][:most]
    unsure = np.argsort(best, kind="stable")[:most]
    return {"mistakes": mistakes.tolist(), "unsure": unsure.tolist()}
