"""Checks of class ids, the loss and a linear head before any training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from tlkit.finding import Finding
from tlkit.tensors import KerasLoss


def odd_order(labels: np.ndarray) -> Iterator[Finding]:
    """Finds images that are not shuffled.

    Args:
        labels: Class ids `(n,)` in the order of an epoch; -1 is unknown.
    """
    labels = labels[labels >= 0]
    shares = np.bincount(labels) / max(len(labels), 1)
    expected = float((shares**2).sum())
    alike = float((labels[1:] == labels[:-1]).mean()) if len(labels) > 1 else 0.0
    spread = math.sqrt(expected * (1 - expected) / max(len(labels) - 1, 1))
    if alike > expected + 6 * spread:
        yield Finding(
            "order",
            "warning",
            f"{alike:.0%} of neighbouring images are of one class, {expected:.0%} would be by chance: "
            "the images are not shuffled",
            hint="Images must come in random order.",
        )


def same_classes(
    labels: np.ndarray, hashes: Sequence[str], classes: Sequence[str]
) -> Iterator[Finding]:
    """Finds pairs of classes with the same images.

    Args:
        labels: Class ids `(n,)`; -1 is unknown.
        hashes: SHA-256 of the images.
        classes: Names of the ids.
    """
    of_class: dict[int, set[str]] = {}
    for label, digest in zip(labels, hashes, strict=True):
        of_class.setdefault(int(label), set()).add(digest)
    held = Counter(digest for group in of_class.values() for digest in group)
    for label, group in of_class.items():
        if label < 0:
            continue
        shared = sum(held[digest] > 1 for digest in group)
        if shared > len(group) / 2:
            yield Finding(
                "classes",
                "warning",
                f"{shared} of {len(group)} images of {classes[label]!r} are also in another class",
                hint="A class folder may have been copied. See: tlkit check",
            )


def odd_loss(loss: KerasLoss, targets: np.ndarray) -> Finding | None:
    """Adding a number to all logits must not change a softmax, and so must not change the loss.

    Args:
        loss: Cross-entropy, as built.
        targets: Two different targets, `(2, classes)`.
    """
    logits = np.random.default_rng(0).normal(size=(8, targets.shape[1])).astype("float32")
    targets = np.repeat(targets, 4, axis=0)
    one, other = (float(loss(targets, logits + shift)) for shift in (0.0, 3.0))
    if abs(one - other) < 1e-3 * max(abs(one), 1.0):
        return None
    return Finding(
        "loss",
        "warning",
        f"the loss changes from {one:.4g} to {other:.4g} when 3 is added to all logits: it takes "
        "them for something else",
        hint="A loss here is given logits: from_logits=True.",
    )


def odd_probe(logits: np.ndarray, ids: np.ndarray) -> Finding | None:
    """A linear head must beat chance on held-out images if labels are related to the images."""
    accuracy = float((logits.argmax(1) == ids).mean())
    chance = float(np.bincount(ids).max() / len(ids))
    spread = math.sqrt(chance * (1 - chance) / len(ids))
    if accuracy >= chance + 3 * spread:
        return None
    return Finding(
        "labels",
        "warning",
        f"a linear head on the backbone's features names {accuracy:.0%} of held-out images rightly, "
        f"and {chance:.0%} are of the largest class: images and labels have nothing to do with each "
        "other",
        hint="Look whether labels were shuffled; see: tlkit check",
    )
