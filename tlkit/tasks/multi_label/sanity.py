"""Checks of label sets, the loss and a linear head before any training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tlkit.finding import Finding
from tlkit.tasks.multi_label.metrics import average_precisions, mean_known
from tlkit.tensors import KerasLoss

SHUFFLES = 20  # number of shuffles that estimate chance


def odd_order(labels: np.ndarray) -> Iterator[Finding]:
    """Finds neighbours in an epoch whose labels are too similar.

    Args:
        labels: 0 or 1, `(n, classes)`, in the order of an epoch; a row of -1 is unknown.
    """
    labels = labels[(labels >= 0).all(axis=1)]
    if len(labels) < 30:
        return
    alike = _shared(labels[1:], labels[:-1])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(SHUFFLES):
        mixed = labels[rng.permutation(len(labels))]
        drawn.append(_shared(mixed[1:], mixed[:-1]))
    if alike > np.mean(drawn) + 6 * np.std(drawn) + 1e-9:
        yield Finding(
            "order",
            "warning",
            f"{alike:.0%} of neighbouring images have the same labels, {np.mean(drawn):.0%} would by "
            "chance: the images are not shuffled",
            hint="Images must come in random order.",
        )


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    return float((first == second).all(axis=1).mean())


def odd_loss(loss: KerasLoss, targets: np.ndarray) -> Finding | None:
    """Binary cross-entropy at a logit of 0 (probability 0.5) must be log 2, whatever the label.

    Args:
        loss: The loss, as built.
        targets: Two different targets, `(2, classes)`.
    """
    found = float(loss(targets, np.zeros_like(targets)))
    if abs(found - np.log(2)) < 1e-3:
        return None
    return Finding(
        "loss",
        "warning",
        f"the loss is {found:.3g} where all logits are 0, and {np.log(2):.3g} is expected: it takes them "
        "for something else",
        hint="A loss here is given logits: from_logits=True.",
    )


def odd_probe(logits: np.ndarray, labels: np.ndarray) -> Finding | None:
    """A linear head must beat chance on held-out images if labels are related to the images."""
    found = mean_known(average_precisions(logits, labels))
    rng, drawn = np.random.default_rng(0), []
    for _ in range(SHUFFLES):
        drawn.append(mean_known(average_precisions(logits[rng.permutation(len(logits))], labels)))
    chance = np.array([value for value in drawn if value is not None])
    if found is None or not len(chance) or found >= chance.mean() + 3 * chance.std():
        return None
    return Finding(
        "labels",
        "warning",
        f"a linear head on the backbone's features has a mAP of {found:.2f} on held-out images, and "
        f"{chance.mean():.2f} is chance: images and labels have nothing to do with each other",
        hint="Look whether labels were shuffled; see: tlkit check",
    )
