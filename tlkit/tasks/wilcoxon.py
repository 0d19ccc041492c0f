"""Compares two models on the same images by how well each answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class SignedRank:
    """Comparison of two models on the same images.

    Attributes:
        images: Number of images that both have judged.
        first_is_better: Whether the first is better, by the sum of ranks.
        median: Median difference over the images.
        mean: Mean difference over the images.
        p: Probability of at least this difference if there were none.
    """

    images: int
    first_is_better: bool
    median: float
    mean: float
    p: float

    @property
    def is_chance(self) -> bool:
        return self.p >= 0.05


def signed_rank(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> SignedRank:
    """Wilcoxon's signed-rank test on the images that both have judged (Wilcoxon 1945).

    Args:
        first: Image -> how good the answer is, such as its negative error.
        second: The same for the other model.
    """
    from scipy.stats import rankdata, wilcoxon

    both = [
        key
        for key in sorted(first.keys() & second.keys(), key=str)
        if math.isfinite(first[key]) and math.isfinite(second[key])
    ]
    differences = np.array([first[key] - second[key] for key in both])
    ranks = rankdata(np.abs(differences)) * np.sign(differences)
    return SignedRank(
        images=len(both),
        first_is_better=bool(ranks.sum() > 0),
        median=abs(float(np.median(differences))) if both else 0.0,
        mean=abs(float(differences.mean())) if both else 0.0,
        p=float(wilcoxon(differences).pvalue) if differences.any() else 1.0,
    )
