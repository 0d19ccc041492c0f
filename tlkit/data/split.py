"""Divides images into train, val and test by their content, not by their position."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tlkit.data.record import SplitName


def position(content_hash: str, label: str) -> float:
    """A number in [0, 1) that depends only on an image's bytes and its class.

    Args:
        content_hash: Hexadecimal SHA-256 of the encoded image.
        label: The class, so that one file in two classes may be in two splits.
    """
    digest = hashlib.sha256(f"{label}\0{content_hash}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_hash(
    hashes: Sequence[str], labels: Sequence[str], val: float, test: float
) -> list[SplitName]:
    """The split of each image.

    Each image has a fixed position in [0, 1) within its class. Positions below `val` are
    validation, the next `test` are test. So the same expected fraction of every class is held
    out, copies of a file stay together, and an added file does not move another.

    If chance would leave a class of two or more different images without any in val, the one
    with the lowest position goes to val; if it would leave none to train on, the one with the
    highest position goes to train. A class of one image goes to train. Only such a substitute
    can move when files are added: when an added file takes over its role.

    Args:
        hashes: SHA-256 of each image's bytes, hexadecimal.
        labels: Class of each image.
        val: Fraction for validation, in [0, 1).
        test: Fraction for the test, in [0, 1).
    """
    places = [position(h, label) for h, label in zip(hashes, labels, strict=True)]
    of_class: dict[str, set[float]] = {}
    for place, label in zip(places, labels, strict=True):
        of_class.setdefault(label, set()).add(place)
    ends = {label: (min(own), max(own)) for label, own in of_class.items()}

    def by_place(place: float, label: str) -> SplitName:
        lowest, highest = ends[label]
        if place == highest:  # if it were held out, all others would be too
            return "train"
        if place < val or (val and place == lowest):
            return "val"
        return "test" if place < val + test else "train"

    return [by_place(place, label) for place, label in zip(places, labels, strict=True)]
