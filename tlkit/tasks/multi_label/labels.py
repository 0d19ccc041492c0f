"""Label sets of images: which labels exist, and which of them each image has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tlkit.data.label_text import NUMBER
from tlkit.data.order import natural
from tlkit.data.record import Record, SourceData
from tlkit.data.sources.folder import class_name
from tlkit.errors import DataError, some_of

SOME = 0.05  # fraction of images with several labels from which the data count as multi-label
HINT = "List the images with all of their labels in a CSV, and use: source: {manifest: LIST.csv}"


def holds_sets(source: SourceData) -> bool:
    """Whether images are meant to have several labels, because some of them do.

    Below a fraction of `SOME` they count as mistakes, which classification reports.
    """
    records = source.records
    if any(record.labels is None for record in records) or len(source.columns) > 1:
        return False
    several = sum(len(set(record.labels or ())) > 1 for record in records)
    return several > 0 and several >= SOME * len(records)


def refuse_folders(records: Sequence[Record]) -> None:
    """Rejects images whose folder is their only class.

    Raises:
        DataError: if there are any.
    """
    if any(record.labels is None for record in records):
        raise DataError(
            "its folders give each image one class, and multi-label learns any number of them.",
            hint=HINT,
        )


def find_labels(records: Sequence[Record], source: SourceData) -> list[str]:
    """The labels that occur, in order.

    Raises:
        DataError: if images have one label each, or labels are numbers.
    """
    refuse_folders(records)
    found = {name for record in records for name in record.labels or ()}
    if not found:
        raise DataError("no image has a label: there is nothing to learn.")
    if len(source.columns) > 1 and all(NUMBER.fullmatch(name) for name in found):
        odd = next((r for r in records if set(r.labels or ()) - {"0", "1"}), records[0])
        raise DataError(
            f"columns {some_of(source.columns, 5)} hold numbers, such as "
            f"{some_of(sorted(set(odd.labels or ()) - {'0', '1'}) or sorted(found), 3)}, and "
            "multi-label learns names, or columns of 0 and 1 alone.",
            where=odd.where or "",
            hint="Write 0 or 1 there, or use: task: regression",
        )
    if joined := sorted(name for name in found if "|" in name):
        raise DataError(
            f"the label {some_of([repr(name) for name in joined])} has a |, which stands between the "
            "labels of an image in predictions.",
            hint="If it means several labels: source: {manifest: {path: LIST.csv, separator: '|'}}; else "
            "rename it.",
        )
    if all(len(set(record.labels or ())) == 1 for record in records):
        raise DataError(
            "each image has one label: there is none with several, and none without.",
            hint="Use: task: classification. Where labels are joined by a sign, as in `cat/red`, name it "
            "as the separator of the list: source: {manifest: {path: LIST.csv, separator: /}}",
        )
    order = source.classes or list(source.flags) or sorted(found, key=natural)
    if missing := [repr(name) for name in order if name not in found]:
        raise DataError(
            f"no image has the label {some_of(missing, 10)}",
            hint="Leave it out, or add images that have it.",
        )
    return order


def meant_labels(
    classes: Sequence[str], records: Sequence[Record], match: Callable[[str], str | None] | None
) -> dict[str, int | None]:
    """The position of each label of other data; None if the model does not know the label.

    Args:
        classes: Classes of the model.
        records: Records of the other data.
        match: Maps a label to the model's label, if they are spelt differently.
    """
    ids = {name: index for index, name in enumerate(classes)}
    composed = {class_name(name): index for name, index in ids.items()}
    meant: dict[str, int | None] = {}
    for label in sorted({name for record in records for name in record.labels or ()}, key=natural):
        name = match(label) if match else label
        meant[label] = ids.get(name or "", composed.get(class_name(name or "")))
    return meant


def refuse_unknown(
    classes: Sequence[str], records: Sequence[Record], meant: dict[str, int | None], where: str
) -> None:
    """Rejects labels that match none of the model's.

    Raises:
        DataError: naming them, and where the first of them occurs.
    """
    unknown = [label for label, index in meant.items() if index is None]
    if unknown:
        first = next(r for r in records if set(r.labels or ()) & set(unknown))
        there = f" (first in {first.where})" if first.where else ""
        raise DataError(
            f"labels that the model does not know: {some_of(unknown, 10)}{there}. It knows: "
            f"{some_of(classes, 20)}",
            where=where,
        )


def sets_of(records: Sequence[Record], meant: dict[str, int | None], classes: int) -> np.ndarray:
    """Whether each image has each label, int8 `(n, classes)` of 0 and 1."""
    sets = np.zeros((len(records), classes), np.int8)
    for row, record in enumerate(records):
        places = [meant[name] for name in record.labels or ()]
        sets[row, [place for place in places if place is not None]] = 1
    return sets


def check_counts(classes: Sequence[str], split: str, labels: np.ndarray) -> list[str]:
    """Remarks about the labels of a split.

    Args:
        classes: Names of the labels.
        split: Name of the split.
        labels: Labels, `(n, classes)`.

    Raises:
        DataError: if a label has no training images, or no image of the split has a label.
    """
    counts = (labels > 0).sum(0)
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing and split == "train":
        raise DataError(
            f"no image of the train split has the label {some_of(missing, 10)}",
            hint="Add images that have it to train, or leave the label out.",
        )
    if len(labels) and len(missing) == len(classes):
        raise DataError(
            f"no image of the {split} split has a label.",
            hint="Label them, or leave them out; images without labels are for: tlkit predict RUN IMAGES",
        )
    notes = [f"no image of {split} has the label {some_of(missing, 10)}"] if missing else []
    always = [name for name, n in zip(classes, counts, strict=True) if n == len(labels) and n]
    if always:
        notes.append(f"every image of {split} has the label {some_of(always, 10)}")
    return notes
