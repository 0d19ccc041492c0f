"""Which of two models has the smaller errors, in a sentence."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tlkit.tasks.wilcoxon import signed_rank


def verdict(first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str) -> str:
    """Which of A and another model is better, by Wilcoxon's signed-rank test.

    Args:
        first: Image -> A's error, with a minus.
        second: The same of the other.
        name: Of the other.
    """
    test = signed_rank(first, second)
    better = "A" if test.first_is_better else name
    word = "the difference may be chance" if test.is_chance else f"{better} is better"
    return (
        f"A and {name} on the same {test.images} images: {better}'s errors are smaller, by "
        f"{test.median:.4g} at the median; Wilcoxon's p = {test.p:.3g}: {word}"
    )
