"""One labelled image, wherever it is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

SplitName = Literal["train", "val", "test"]


@dataclasses.dataclass(frozen=True)
class Record:
    """An encoded image with its class name.

    Attributes:
        name: Name in messages and predictions.csv, often a path.
        label: Name of its class, or all its labels, as text; empty if it has none.
        split: Split named by the source, or None if tlkit is to split.
        read: Returns the encoded bytes.
        labels: Labels from its list, any number: class names, or a number for each column of
            `SourceData.columns`, as text. None if its location gives its one class, as in folders.
        where: `file:line` of the list, for messages.
    """

    name: str
    label: str
    split: SplitName | None
    read: Callable[[], bytes]
    labels: tuple[str, ...] | None = None
    where: str = ""


@dataclasses.dataclass(frozen=True)
class IgnoredFile:
    """A file of the data folder that belongs to no class.

    Attributes:
        name: As in `Record.name`.
        reason: Reason, to follow the name, such as "is text, no picture".
        lost: Whether it looks like a picture that the user may miss.
    """

    name: str
    reason: str
    lost: bool = False


@dataclasses.dataclass(frozen=True)
class SourceData:
    """What a source returns.

    Attributes:
        records: Records in a fixed order.
        classes: Class names in the source's own order, if it has one; None to have
            tlkit sort the labels.
        empty: Classes that the source names but has no images of.
        ignored: Files beside the images that are not used.
        notes: What the user should know about how the source was read.
        columns: Columns of a list that `Record.labels` hold the values of.
        flags: Columns of a list with 0 and 1, one class each; `Record.labels` are those that are 1.
    """

    records: list[Record]
    classes: list[str] | None = None
    empty: tuple[str, ...] = ()
    ignored: tuple[IgnoredFile, ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
