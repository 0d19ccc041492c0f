"""Divides images into train, val and test by what they are, not by where they stand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tlkit.data.record import SplitName


def position(content_hash: str, label: str) -> float:
    """A number in [0, 1) that depends on nothing but an image's bytes and its class.

    Args:
        content_hash: Hexadecimal SHA-256 of the encoded image.
        label: The class, so that one file in two classes may fall on two sides.
    """
    digest = hashlib.sha256(f"{label}\0{content_hash}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_hash(
    hashes: Sequence[str], labels: Sequence[str], val: float, test: float
) -> list[SplitName]:
    """The split of each image.

    Each image has a fixed place in [0, 1) within its class, and those below
    `val` validate, those in the next `test` test. So every class is held out at the same
    expected share, copies of a file stay together, and an added file never moves another.

    Where chance would leave a class of two or more different images without any in val, the
    one with the lowest place validates; where it would leave none to train on, the one with
    the highest place trains. A class of one image trains. Only such an image, that stands in
    for others, can move when files are added: when one comes that takes its place.

    Args:
        hashes: SHA-256 of each image's bytes, hexadecimal.
        labels: Class of each image.
        val: Share for validation, in [0, 1).
        test: Share for the test, in [0, 1).
    """
    places = [position(h, label) for h, label in zip(hashes, labels, strict=True)]
    of_class: dict[str, set[float]] = {}
    for place, label in zip(places, labels, strict=True):
        of_class.setdefault(label, set()).add(place)
    ends = {label: (min(own), max(own)) for label, own in of_class.items()}

    def by_place(place: float, label: str) -> SplitName:
        lowest, highest = ends[label]
        if place == highest:  # if it were held out, so would all others be
            return "train"
        if place < val or (val and place == lowest):
            return "val"
        return "test" if place < val + test else "train"

    return [by_place(place, label) for place, label in zip(places, labels, strict=True)]
