"""Class folders, or train/ val/ test/ of class folders."""

from __future__ import annotations

import dataclasses
import functools
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from tlkit.data.named_classes import classes_in_names
from tlkit.data.order import natural
from tlkit.data.read_file import read_file
from tlkit.data.record import IgnoredFile, Record, SourceData, SplitName
from tlkit.data.split_name import is_part, split_name, split_pairs, splits_named
from tlkit.data.walk import Folder, walk
from tlkit.errors import DataError, some_of
from tlkit.limits import Count
from tlkit.paths import expanded
from tlkit.registry import register

LISTS = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".json",
    ".txt",
    ".xml",
    ".parquet",
)  # may hold labels
BESIDE = "lies beside the class folders"


@register("folder")
def folder(*, path: str, depth: Count | None = None) -> SourceData:
    """Images in one folder per class, or in train/, val/ and test/ with class folders in them.

    Splits are recognized by their names, such as `training_set` and `Test Images`, and deeper class
    folders are found. Ambiguous folders are rejected unless `depth` says which is meant.

    Args:
        path: The folder.
        depth: Depth of the class folders: 1, the folders in `path` are the classes, whatever their
            names and content; 2, the folders in those. By default it is found, with the splits.

    Raises:
        DataError: if it is missing, or has no class folders with images.
    """
    root = expanded(path)
    if not root.is_dir():
        raise DataError("no such folder of images", where=str(root))
    top, ignored = walk(root)
    layout = _find(top) if depth is None else _at(top, depth)
    records: list[Record] = []
    spelt: dict[str, set[str]] = {}
    notes = list(layout.notes)
    named: set[str] = set()
    taken: set[int] = set()
    for level in layout.levels:
        for class_folder in level.classes:
            label = class_name(class_folder.name)
            named.add(label)
            spelt.setdefault(label, set()).add(class_folder.name)
            files = []
            for place, own in level.of(class_folder):
                taken.add(id(place))
                files += [((*place.parts, name), place, name, own) for name in place.pictures]
            for _, place, name, own in sorted(files, key=lambda item: item[0]):
                read = functools.partial(read_file, os.path.join(place.path, name))
                records.append(Record(place.name_of(name), label, own, read))
    ignored += _aside(top, taken, layout.aside)
    if not records:
        raise _nothing(top, ignored)
    notes += [
        f"class {label!r} is spelt in {len(names)} ways that look the same, and is one"
        for label, names in sorted(spelt.items())
        if len(names) > 1
    ]
    filled = {record.label for record in records}
    return SourceData(
        records,
        empty=tuple(sorted(named - filled, key=natural)),
        ignored=tuple(sorted(ignored, key=lambda item: (item.name, item.reason))),
        notes=tuple(notes),
    )


def class_name(text: str) -> str:
    """A class name in its normal form: composed Unicode, without surrounding white space."""
    composed = unicodedata.normalize("NFC", text)
    return composed.strip() or composed


@dataclasses.dataclass
class Level:
    """Class folders with the same parent folder.

    Attributes:
        classes: The class folders.
        split: Split that they are in; None if tlkit is to split.
        splits_inside: Whether each class folder contains split folders.
    """

    classes: Sequence[Folder]
    split: SplitName | None = None
    splits_inside: bool = False

    def of(self, class_folder: Folder) -> Iterator[tuple[Folder, SplitName | None]]:
        """The folders with the images of a class, and the split of each."""
        if not self.splits_inside:
            yield from ((inner, self.split) for inner in class_folder.inside())
            return
        for part in class_folder.folders:
            yield from ((inner, split_name(part.name)) for inner in part.inside())


@dataclasses.dataclass
class Layout:
    """Where the classes are.

    Attributes:
        levels: One level, or one for each split.
        notes: How the layout was found, if that is not obvious.
        aside: Folders that are not part of it, why, and whether their pictures may be missed.
    """

    levels: list[Level]
    notes: list[str] = dataclasses.field(default_factory=list)
    aside: list[tuple[Folder, str, bool]] = dataclasses.field(default_factory=list)


def _find(top: Folder) -> Layout:
    """The layout of a folder, if it is unambiguous."""
    start = _descend(top)
    if any(splits_named(inner.name) for inner in start.folders):
        layout = _splits(top, start)
    else:
        inverted = bool(start.full) and all(_holds_splits(inner) for inner in start.full)
        layout = Layout([Level(start.full if inverted else start.folders, None, inverted)])
        if inverted and not any(
            split_name(part.name) == "train" for inner in start.full for part in inner.full
        ):
            raise DataError("has class folders without a train folder in them", where=top.path)
    for level in layout.levels:
        if not level.splits_inside:
            layout.notes += _check(top, level)
    if start is not top:
        layout.notes.insert(0, f"the {'class' if len(layout.levels) == 1 else 'split'} folders lie "
                            f"deeper, in {'/'.join(start.parts)}")  # fmt: skip
    return layout


def _descend(folder: Folder, split: SplitName | None = None) -> Folder:
    """The folder itself, or its only subfolder, at any depth, that contains all class folders."""
    while len(folder.full) == 1:
        (inner,) = folder.full
        empty = any(not other.files for other in folder.folders)
        other_split = bool(splits_named(inner.name) - {split})
        if inner.pictures or not inner.full or empty or other_split:
            break
        if _holds_splits(inner) and not _holds_level(inner):
            break  # a single class that contains its splits
        folder = inner
    return folder


def _holds_splits(folder: Folder) -> bool:
    """Whether a folder contains only split folders that hold images, not class folders."""
    return (
        bool(folder.full)
        and not folder.pictures
        and all(split_name(inner.name) and inner.pictures for inner in folder.full)
    )


def _holds_level(folder: Folder) -> bool:
    return any(inner.full for inner in folder.full)


def _splits(top: Folder, start: Folder) -> Layout:
    """The layout of folders if some are named like splits."""
    named = [inner for inner in start.folders if splits_named(inner.name)]
    others = [inner for inner in start.full if not splits_named(inner.name)]
    levels, flat = [], []
    notes: list[str] = []
    for part in named:
        deep = _descend(part, split_name(part.name))
        if wrong := [inner for inner in deep.full if splits_named(inner.name)]:
            raise DataError(
                f"{_names(wrong)} in {'/'.join(deep.parts)} {_are(wrong)} named like a split, where "
                "class folders should be",
                where=top.path,
            )
        if deep.full:
            both = sorted(splits_named(part.name))
            if len(both) > 1:
                raise DataError(
                    f"the folder {part.name!r} names two splits, {' and '.join(both)}",
                    where=top.path,
                )
            levels.append(Level(deep.folders, split_name(part.name)))
            if deep is not part:
                notes.append(
                    f"the class folders of {part.name} lie deeper, in {'/'.join(deep.parts)}"
                )
        else:
            flat.append(part)
    trains = any(level.split == "train" for level in levels)
    if others and not trains:
        raise DataError(
            f"{_names(named)} {_are(named)} named like a split, and {_names(others)} "
            f"{_are(others)} not.",
            where=top.path,
            hint=f"If all of them are classes, say so: {_say(start, top, 1)}; else keep only train, val "
            "and test folders there, with class folders in them.",
        )
    if not levels and any(inner.below for inner in flat):
        raise DataError(
            f"{_names(flat)} {_are(flat)} named like a split, and hold{'s' if len(flat) == 1 else ''} "
            "images side by side without class folders.",
            where=top.path,
            hint=_lists(top)
            or classes_in_names(n for p in flat for f in p.inside() for n in f.pictures)
            + "Put the images of each class in a folder of its own, or list them with "
            f"their labels in a manifest. If these are classes all the same: {_say(start, top, 1)}",
        )
    if levels and not trains:
        found = ", ".join(part.name for part in named if part.below)
        raise DataError(
            f"has {found} but no train folder.",
            where=top.path,
            hint="To evaluate on it, name that folder itself.",
        )
    aside = [(part, f"lies in {part.name}, which has no class folders", False) for part in flat] + [
        (part, f"lies in {part.name}, which is no train, val or test folder", bool(part.full))
        for part in others
    ]
    return Layout(levels, notes, aside)


def _check(top: Folder, level: Level) -> list[str]:
    """Rejects doubtful class folders; returns notes on what else they contain."""
    siblings = {class_name(inner.name) for inner in level.classes}
    if split_pairs(inner.name for inner in level.classes if inner.below):
        raise DataError(
            f"{_names(level.classes)} are named like splits, and should be classes.",
            where=top.path,
            hint="Make train, val and test folders with a folder for each class in them. If these are classes "
            f"all the same: {_say(level.classes[0].above or top, top, 1)}",
        )
    parts = [inner for inner in level.classes if inner.below and is_part(inner.name)]
    if parts and len(parts) == sum(inner.below > 0 for inner in level.classes):
        raise _of_parts(top, level, parts)
    notes = [f"{inner.name!r} is taken for a class" for inner in parts]
    for inner in level.classes:
        if not inner.full:
            continue
        held = _names(inner.full)
        if not inner.pictures:
            raise _two_ways(top, level, f"{inner.name!r} holds no pictures of its own but folders "
                            f"of them ({held})")  # fmt: skip
        for deep in inner.full:
            if class_name(deep.name) in siblings or splits_named(deep.name):
                what = "a split" if splits_named(deep.name) else "a class"
                raise _two_ways(top, level, f"{inner.name!r} holds pictures, and a folder "
                                f"{deep.name!r} that is named like {what}")  # fmt: skip
        more = inner.below - len(inner.pictures)
        notes.append(f"{more} images of class {inner.name!r} lie in folders inside it ({held})")
    return notes


def _of_parts(top: Folder, level: Level, parts: Sequence[Folder]) -> DataError:
    """The error if all folders are named like parts or kinds of data."""
    parent = level.classes[0].above or top
    where = f" in {level.split}" if level.split is not None else ""
    files = (name for part in parts for name in part.pictures)
    hint = f"{classes_in_names(files)}Put the images of each class in a folder of its own"
    if any(part.full for part in parts):
        hint = f"If the classes lie in them: {_say(parent, top, 2)}"
    elif lists := _lists(parent):
        hint = lists.removesuffix(".")
    if level.split is None:
        hint += f". If these are classes all the same: {_say(parent, top, 1)}"
    return DataError(
        f"{_names(parts)}{where} {_are(parts)} named like parts or kinds of data, and should be classes.",
        where=top.path,
        hint=hint + ("" if "depth" in hint else "."),
    )


def _two_ways(top: Folder, level: Level, found: str) -> DataError:
    """The error if it is ambiguous which folders are the classes."""
    parent = level.classes[0].above or top
    if level.split is not None:
        hint = (
            f"Put the class folders of {level.split} side by side, with nothing but images in them."
        )
    else:
        deeper = sorted({deep.name for inner in level.classes for deep in inner.full}, key=natural)
        hint = (
            f"If the classes are {_names(level.classes)}: {_say(parent, top, 1)}. "
            f"If they are {some_of(deeper)}: {_say(parent, top, 2)}"
        )
    return DataError(f"which folders are the classes? {found}.", where=top.path, hint=hint)


def _at(top: Folder, depth: int) -> Layout:
    """The layout whose classes are the folders at a given depth."""
    level = [top]
    for _ in range(depth):
        level = [inner for folder in level for inner in folder.folders]
    if not level:
        raise DataError(f"has no folders at depth {depth}", where=top.path)
    return Layout([Level(sorted(level, key=lambda inner: natural(inner.name)))])


def _aside(
    top: Folder, taken: set[int], aside: Iterable[tuple[Folder, str, bool]]
) -> Iterator[IgnoredFile]:
    """The pictures that belong to no class."""
    why = {id(inner): (reason, lost) for part, reason, lost in aside for inner in part.inside()}
    for folder in top.inside():
        if id(folder) not in taken:
            reason, lost = why.get(id(folder), (BESIDE, True))
            for name in folder.pictures:
                yield IgnoredFile(folder.name_of(name), reason, lost)


def _nothing(top: Folder, ignored: Sequence[IgnoredFile]) -> DataError:
    """The error for a folder without images in class folders."""
    loose = len(top.pictures)
    if loose:
        hint = _lists(top) or classes_in_names(top.pictures) + (
            f"Its {loose} images lie side by side: put each class in a folder of its own, or list "
            "them with their labels in a manifest."
        )
    else:
        hint = "Expected one folder a class, or train/ and val/ with class folders in them."
    left = [item for item in ignored if item.reason != BESIDE]
    if left:
        hint += f" What lies there: {some_of([f'{item.name} {item.reason}' for item in left])}"
    return DataError("no class folders with images.", where=top.path, hint=hint)


def _lists(top: Folder) -> str:
    """A hint about files that may hold the labels of images in one folder."""
    found = [
        "/".join((*inner.parts, entry))
        for inner in (top, *top.folders)
        for entry in sorted(os.listdir(inner.path))
        if entry.lower().endswith(LISTS)
    ]
    if not found:
        return ""
    return f"The labels may be in {some_of(found)}: name that file in the place of the folder."


def _say(parent: Folder, top: Folder, deeper: int) -> str:
    """The setting for class folders at a depth below a folder."""
    depth = len(parent.parts) - len(top.parts) + deeper
    return f"depth: {depth} beside path in a recipe, depth={depth} behind the folder in a command"


def _names(folders: Sequence[Folder]) -> str:
    return some_of([inner.name for inner in folders])


def _are(folders: Sequence[Folder]) -> str:
    return "is" if len(folders) == 1 else "are"
