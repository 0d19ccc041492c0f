"""Class ids of images: which classes exist, in which order, and remarks about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tlkit.data.named_classes import classes_in_names
from tlkit.data.order import natural
from tlkit.data.record import Record, SourceData
from tlkit.data.refused_rows import refuse_rows
from tlkit.data.sources.folder import class_name
from tlkit.errors import DataError, some_of

IMBALANCED = 3.0  # largest class over smallest, from which a note is given
MOST_NOTES = 10


def refuse_sets(records: Sequence[Record]) -> None:
    """Rejects images with several classes, or with none.

    Raises:
        DataError: naming them, with their lines in the list.
    """
    listed = [record for record in records if record.labels is not None]
    refuse_rows(
        [
            (r.where or r.name, f"{r.name} has several labels: {some_of(r.labels or ())}")
            for r in listed
            if len(set(r.labels or ())) > 1
        ],
        "images have several labels, and classification takes one class",
        "Where images may have several labels: task: multi-label",
    )
    refuse_rows(
        [(r.where or r.name, f"{r.name} has no class") for r in listed if not r.labels],
        "images have no class, and classification takes one",
        "Leave them out, give them a class of their own, or learn any number of labels an image: "
        "task: multi-label",
    )


def find_classes(records: Sequence[Record], source: SourceData) -> tuple[list[str], list[str]]:
    """The class names in order, and remarks about them."""
    refuse_sets(records)
    labels = {record.label for record in records}
    classes = sorted(labels, key=natural)
    if source.empty:
        raise DataError(
            f"no image in class {some_of([repr(name) for name in source.empty], 10)}",
            hint="Remove the empty folder, or put images into it.",
        )
    if source.classes is not None:
        missing = [repr(name) for name in source.classes if name not in labels]
        if missing:
            raise DataError(f"no image in class {some_of(missing, 10)}")
        classes = source.classes
    if len(classes) < 2:
        raise DataError(
            f"only one class, {classes[0]!r}; at least two are needed to tell apart.",
            hint=classes_in_names(record.name for record in records),
        )
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(name.casefold(), []).append(name)
    notes = [
        f"classes that differ only in case: {', '.join(names)}"
        for names in alike.values()
        if len(names) > 1
    ]
    return classes, _first(notes, MOST_NOTES)


def _first(notes: list[str], most: int) -> list[str]:
    """The first notes, and how many more there are."""
    return notes if len(notes) <= most else [*notes[:most], f"and {len(notes) - most} more alike"]


def meant_classes(
    classes: Sequence[str], records: Sequence[Record], match: Callable[[str], str | None] | None
) -> dict[str, int | None]:
    """The class id of each label of other data; None if the model does not know the class.

    Args:
        classes: Classes of the model.
        records: Records of the other data.
        match: Maps a label to the model's class, if they are spelt differently.
    """
    ids = {name: index for index, name in enumerate(classes)}
    composed = {class_name(name): index for name, index in ids.items()}
    meant: dict[str, int | None] = {}
    for label in sorted({record.label for record in records}, key=natural):
        name = match(label) if match else label
        meant[label] = ids.get(name or "", composed.get(class_name(name or "")))
    return meant


def refuse_unknown(classes: Sequence[str], meant: dict[str, int | None], where: str) -> None:
    """Rejects labels that match no class of the model.

    Raises:
        DataError: naming them.
    """
    unknown = [label for label, index in meant.items() if index is None]
    if unknown:
        raise DataError(
            f"classes that the model does not know: {some_of(unknown, 10)}. It knows: "
            f"{some_of(classes, 20)}",
            where=where,
        )


def check_counts(classes: Sequence[str], split: str, counts: np.ndarray) -> list[str]:
    """Remarks about the classes of a split.

    Raises:
        DataError: if a class has no training images.
    """
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing and split == "train":
        raise DataError(
            f"the train split has no image of: {some_of(missing, 10)}",
            hint="Add images of it, or lower data.split.",
        )
    if missing:
        return [f"{split} has no image of: {some_of(missing, 10)}"]
    if split == "train" and counts.max() > IMBALANCED * counts.min():
        most, least = classes[int(counts.argmax())], classes[int(counts.argmin())]
        return [
            f"train has {counts.max()} images of {most} and {counts.min()} of {least}; think of "
            "finetune.class_weight: balanced"
        ]
    return []
