"""One labelled image, wherever it lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

SplitName = Literal["train", "val", "test"]

SYNONYMS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}


@dataclasses.dataclass(frozen=True)
class Record:
    """An encoded image with its class name.

    Attributes:
        name: What messages and predictions.csv call it, often a path.
        label: The name of its class; empty where there is none.
        split: Named by the source, or None where tlkit is to split.
        read: Returns the encoded bytes.
    """

    name: str
    label: str
    split: SplitName | None
    read: Callable[[], bytes]


@dataclasses.dataclass(frozen=True)
class SourceData:
    """What a source yields.

    Attributes:
        records: In a fixed order.
        classes: Names in the source's own order, where it has one; else None
            and tlkit sorts the labels.
        empty: Classes that the source names but has no image of.
    """

    records: list[Record]
    classes: list[str] | None = None
    empty: tuple[str, ...] = ()


def split_name(text: str) -> SplitName | None:
    """`Validation` -> `val`; None for a word that names no split."""
    return SYNONYMS.get(text.strip().lower())
