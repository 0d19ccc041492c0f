"""Compares two classifiers on the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Comparison of two classifiers on the same images.

    Attributes:
        images: Number of images that both have judged.
        only_first: Number classified correctly by the first alone.
        only_second: Number classified correctly by the second alone.
        p: Probability of at least this difference if there were none.
    """

    images: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> McNemar:
    """McNemar's exact test, on the images that only one of the two classifies correctly.

    (McNemar 1947; Dietterich 1998, "Approximate Statistical Tests for Comparing Supervised
    Classification Learning Algorithms", section 3.1.)

    Args:
        first: Image -> whether the first classified it correctly.
        second: The same for the second.
    """
    from scipy.stats import binomtest

    both = first.keys() & second.keys()
    one = sum(first[key] > second[key] for key in both)
    other = sum(second[key] > first[key] for key in both)
    p = float(binomtest(one, one + other, 0.5).pvalue) if one + other else 1.0
    return McNemar(len(both), one, other, p)


def verdict(first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str) -> str:
    """Which of A and another classifier is better, as a sentence.

    Args:
        first: Image -> whether A classified it correctly.
        second: The same for the other classifier.
        name: Name of the other classifier.
    """
    test = mcnemar(first, second)
    better = "A" if test.only_first > test.only_second else name
    word = f"{better} is better" if test.p < 0.05 else "the difference may be chance"
    return (
        f"A and {name} on the same {test.images} images: {test.only_first} only A has right, "
        f"{test.only_second} only {name}; McNemar's p = {test.p:.3g}: {word}"
    )
