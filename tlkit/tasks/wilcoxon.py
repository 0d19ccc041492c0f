"""Two models on the same images, by how well each answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class SignedRank:
    """Two models on the same images.

    Attributes:
        images: That both have judged.
        first_is_better: By the sum of the ranks.
        median: By how much one is better, at the median of the images.
        mean: The same, the mean of the images.
        p: Probability of such a difference or a larger one if there were none.
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
    """Wilcoxon's signed-rank test of the images that both have judged (Wilcoxon 1945).

    Args:
        first: Image -> how good an answer is, as its error with a minus.
        second: The same of another model.
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
