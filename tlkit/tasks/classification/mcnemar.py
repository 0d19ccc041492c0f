"""Two classifiers on the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same images.

    Attributes:
        images: That both have judged.
        only_first: Named rightly by the first alone.
        only_second: Named rightly by the second alone.
        p: Probability of such a difference or a larger one if there were none.
    """

    images: int
    only_first: int
    only_second: int
    p: float


def mcnemar(first: Mapping[Hashable, float], second: Mapping[Hashable, float]) -> McNemar:
    """McNemar's test in its exact form, on the images that one alone names rightly.

    (McNemar 1947; Dietterich 1998, "Approximate Statistical Tests for Comparing Supervised
    Classification Learning Algorithms", section 3.1.)

    Args:
        first: Image -> whether it was named rightly.
        second: The same of another.
    """
    from scipy.stats import binomtest

    both = first.keys() & second.keys()
    one = sum(first[key] > second[key] for key in both)
    other = sum(second[key] > first[key] for key in both)
    p = float(binomtest(one, one + other, 0.5).pvalue) if one + other else 1.0
    return McNemar(len(both), one, other, p)


def verdict(first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str) -> str:
    """Which of A and another classifier is better, in a sentence.

    Args:
        first: Image -> whether A named it rightly.
        second: The same of the other.
        name: Of the other.
    """
    test = mcnemar(first, second)
    better = "A" if test.only_first > test.only_second else name
    word = f"{better} is better" if test.p < 0.05 else "the difference may be chance"
    return (
        f"A and {name} on the same {test.images} images: {test.only_first} only A has right, "
        f"{test.only_second} only {name}; McNemar's p = {test.p:.3g}: {word}"
    )
