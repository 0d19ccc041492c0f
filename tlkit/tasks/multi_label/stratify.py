"""Divides images so that each part has its fraction of every class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tlkit.data.record import SplitName

SIDES: tuple[SplitName, ...] = ("train", "val", "test")


def stratified_parts(
    sets: np.ndarray, wanted: np.ndarray, shares: Sequence[float], order: np.ndarray
) -> np.ndarray:
    """Assigns each image to a part, by iterative stratification.

    The class with the fewest images left is dealt out first. Each of its images goes to the part
    that still needs most images of that class; ties go to the part that needs most images overall.
    (Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data",
    algorithm 1.)

    Args:
        sets: Whether each image has each class, bool `(n, classes)`.
        wanted: Number of images of each class that each part should get, `(parts, classes)`.
        shares: Fraction of all images for each part; they sum to 1.
        order: Order in which images are dealt out, which also breaks ties, `(n,)`.
    """
    room, wanted = len(sets) * np.array(shares, float), wanted.astype(float)
    part = np.full(len(sets), -1)
    rank = np.empty(len(sets), int)
    rank[order] = np.arange(len(order))
    of_class = [own[np.argsort(rank[own])] for own in map(np.flatnonzero, sets.T)]
    left = sets.sum(0)

    def deal(image: int, most: np.ndarray) -> None:
        """Deals to the part with the largest `most`; ties go to the part with the most room."""
        best = np.flatnonzero(most == most.max())
        chosen = best[room[best].argmax()]
        part[image] = chosen
        wanted[chosen] -= sets[image]
        room[chosen] -= 1
        left[sets[image]] -= 1

    while (left > 0).any():
        rarest = int(np.where(left > 0, left, len(sets) + 1).argmin())
        for image in of_class[rarest]:
            if part[image] < 0:
                deal(image, wanted[:, rarest])
    for image in order:
        if part[image] < 0:
            deal(image, room)
    return part


def split_sets(sets: np.ndarray, hashes: Sequence[str], val: float, test: float) -> list[SplitName]:
    """The split of each image; identical images stay together.

    A class with two or more images has one in train and one in val, where possible.

    Args:
        sets: Whether each image has each class, bool `(n, classes)`.
        hashes: SHA-256 of each image's bytes, hexadecimal.
        val: Fraction for validation, in [0, 1).
        test: Fraction for the test, in [0, 1).
    """
    kinds, of_kind = np.unique(hashes, return_inverse=True)
    own = np.zeros((len(kinds), sets.shape[1]), bool)
    np.logical_or.at(own, of_kind, sets.astype(bool))  # copies have the labels of all of them
    shares = [1 - val - test, val, test]
    wanted = np.outer(shares, own.sum(0))
    if val:
        several = own.sum(0) >= 2
        wanted[1, several] = np.maximum(wanted[1, several], 1.0)
        wanted[0] = own.sum(0) - wanted[1:].sum(0)
    # an order that is independent of the order of the data
    order = np.argsort([hashlib.sha256(digest.encode()).digest() for digest in kinds])
    part = _all_trained(own, stratified_parts(own, wanted, shares, order), order)[of_kind]
    return [SIDES[k] for k in part]


def _all_trained(sets: np.ndarray, part: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The parts with an image of each class in train: one is moved there where there is none.

    Moved is the image whose classes have most others in its part.
    """
    part = part.copy()
    for name in np.argsort(sets.sum(0), kind="stable"):
        own = [image for image in order if sets[image, name]]
        if not own or any(part[image] == 0 for image in own):
            continue
        left = {image: sets[part == part[image]].sum(0)[sets[image]].min() for image in own}
        part[max(own, key=left.__getitem__)] = 0
    return part


def stratified_folds(sets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold for each image, `(n,)`; every class is spread as evenly as possible."""
    shares = [1 / folds] * folds
    order = np.random.default_rng(seed).permutation(len(sets))
    return stratified_parts(sets, np.outer(shares, sets.sum(0)), shares, order)
