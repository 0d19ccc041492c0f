"""Divides images into train, val and test by what they are, not by where they stand."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.data.record import SplitName


def position(content_hash: str, label: str) -> float:
    """A number in [0, 1) that depends on nothing but an image's bytes and its class.

    Args:
        content_hash: Hexadecimal SHA-256 of the encoded image.
        label: The class, so that one file in two classes may fall on two sides.
    """
    import hashlib

    digest = hashlib.sha256(f"{label}\0{content_hash}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_hash(
    hashes: Sequence[str], labels: Sequence[str], val: float, test: float
) -> list[SplitName]:
    """The split of each image.

    Each image has a fixed place in [0, 1), and those below `val` validate, so
    an added file never moves another one, and every class is held out at about
    the same share. A class that would have no image left to validate or to
    train on, as happens to small ones, gives its nearest image for it.

    Args:
        hashes: SHA-256 of each image's bytes, hexadecimal.
        labels: Class of each image.
        val: Share for validation, in [0, 1).
        test: Share for the test, in [0, 1).
    """
    places = [position(h, label) for h, label in zip(hashes, labels, strict=True)]

    def by_place(place: float) -> SplitName:
        if place < val:
            return "val"
        return "test" if place < val + test else "train"

    splits = [by_place(place) for place in places]
    members: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    for group in members.values():
        ordered = sorted(group, key=lambda index: (places[index], index))
        distinct = len({hashes[index] for index in group})
        if distinct >= 2 and all(splits[i] != "train" for i in group):
            _move(ordered[-1], "train", splits, hashes, group)
        if distinct >= 2 and val and all(splits[i] != "val" for i in group):
            _move(ordered[0], "val", splits, hashes, group)
    return splits


def _move(
    index: int, to: SplitName, splits: list[SplitName], hashes: Sequence[str], group: list[int]
) -> None:
    """Moves an image, and its exact copies with it."""
    for other in group:
        if hashes[other] == hashes[index]:
            splits[other] = to
