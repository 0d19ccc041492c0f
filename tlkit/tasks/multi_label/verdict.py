"""Which of two models predicts fewer wrong labels, as a sentence."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tlkit.tasks.wilcoxon import signed_rank


def verdict(first: Mapping[Hashable, float], second: Mapping[Hashable, float], name: str) -> str:
    """Whether A or another model is better, by Wilcoxon's signed-rank test.

    Args:
        first: Image -> minus the number of A's wrong labels.
        second: The same for the other model.
        name: Name of the other model.
    """
    test = signed_rank(first, second)
    better = "A" if test.first_is_better else name
    word = "the difference may be chance" if test.is_chance else f"{better} is better"
    return (
        f"A and {name} on the same {test.images} images: {better} has {test.mean:.3g} fewer wrong labels "
        f"an image; Wilcoxon's p = {test.p:.3g}: {word}"
    )
