"""One labelled image, wherever it lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

SplitName = Literal["train", "val", "test"]


@dataclasses.dataclass(frozen=True)
class Record:
    """An encoded image with its class name.

    Attributes:
        name: What messages and predictions.csv call it, often a path.
        label: The name of its class, or all that it is labelled with, as text; empty where there is
            nothing.
        split: Named by the source, or None where tlkit is to split.
        read: Returns the encoded bytes.
        labels: What its list says of it, in any number: names of classes, or a number for each column
            of `SourceData.columns`, as text. None where its place is its one class, as in folders.
        where: `file:line` of the list, for messages.
    """

    name: str
    label: str
    split: SplitName | None
    read: Callable[[], bytes]
    labels: tuple[str, ...] | None = None
    where: str = ""


@dataclasses.dataclass(frozen=True)
class Ignored:
    """A file of the data folder that no class has.

    Attributes:
        name: As `Record.name`.
        reason: Behind the name, as "is text, no picture".
        lost: Whether it looks like a picture that someone may miss.
    """

    name: str
    reason: str
    lost: bool = False


@dataclasses.dataclass(frozen=True)
class SourceData:
    """What a source yields.

    Attributes:
        records: In a fixed order.
        classes: Names in the source's own order, where it has one; else None
            and tlkit sorts the labels.
        empty: Classes that the source names but has no image of.
        ignored: Files that lie with the images and are not used.
        notes: What a person should know about how the source was read.
        columns: Of a list, those that `Record.labels` are from, where each label is the value of one.
        flags: Of a list, its columns of 0 and 1 that are one class each; `Record.labels` are those at 1.
    """

    records: list[Record]
    classes: list[str] | None = None
    empty: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
