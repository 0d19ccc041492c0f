"""Two models on the same images, by the errors of each."""

from __future__ import annotations

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
    from scipy.stats import wilcoxon

    both = sorted(first.keys() & second.keys(), key=str)
    differences = np.array([first[key] - second[key] for key in both])
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    better = "A" if differences.sum() > 0 else name
    word = f"{better} is better" if p < 0.05 else "the difference may be chance"
    mean = abs(float(differences.mean())) if len(both) else 0.0
    return (
        f"A and {name} on the same {len(both)} images: {better}'s errors are {mean:.4g} smaller on "
        f"average; Wilcoxon's p = {p:.3g}: {word}"
    )
