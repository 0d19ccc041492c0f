"""Two models on the same images, by the errors of each."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np


def verdict(first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str) -> str:
    """Which of A and another model is better, in a sentence.

    Wilcoxon's signed-rank test of the images that both have judged (Wilcoxon 1945).

    Args:
        first: Image -> how good A's answer is, less its error.
        second: The same of the other.
        name: Of the other.
    """
    from scipy.stats import rankdata, wilcoxon

    both = [
        key
        for key in sorted(first.keys() & second.keys(), key=str)
        if math.isfinite(first[key]) and math.isfinite(second[key])
    ]
    differences = np.array([first[key] - second[key] for key in both])
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    ranks = rankdata(np.abs(differences)) * np.sign(differences)
    better = "A" if ranks.sum() > 0 else name
    word = f"{better} is better" if p < 0.05 else "the difference may be chance"
    middle = abs(float(np.median(differences))) if len(both) else 0.0
    return (
        f"A and {name} on the same {len(both)} images: {better}'s errors are smaller, by {middle:.4g} at "
        f"the median; Wilcoxon's p = {p:.3g}: {word}"
    )
