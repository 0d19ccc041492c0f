"""Class folders, or train/ val/ test/ of class folders."""

from __future__ import annotations

import pathlib
import re

from tlkit.data.record import Record, SourceData, SplitName, split_name
from tlkit.errors import DataError
from tlkit.registry import register

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")


@register("folder")
def folder(*, path: str) -> SourceData:
    """Images in one folder a class, or in train/, val/ and test/ with class folders in them.

    Args:
        path: The folder.

    Raises:
        DataError: if it is missing, has no class folders, or has none with images.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise DataError("no such folder of images", where=str(root))
    children = _folders(root)
    splits = {child: name for child in children if (name := split_name(child.name))}
    inside = {child for child in splits if _folders(child)}
    if inside and all(child in inside for child in children):
        if "train" not in splits.values():
            found = ", ".join(child.name for child in splits)
            raise DataError(f"has {found} but no train folder", where=str(root))
        groups: list[tuple[SplitName | None, pathlib.Path]] = [(splits[c], c) for c in children]
    else:
        groups = [(None, root)]
    records: list[Record] = []
    names: set[str] = set()
    for split, group in groups:
        for class_folder in _folders(group):
            names.add(class_folder.name)
            for file in _images(class_folder):
                records.append(
                    Record(
                        file.relative_to(root).as_posix(), class_folder.name, split, file.read_bytes
                    )
                )
    if not records:
        loose = len(_images(root))
        hint = (
            f"Its {loose} images lie side by side: put each class in a folder of its own, or list "
            "them with their labels in a manifest."
            if loose
            else "Expected one folder a class, or train/ and val/ with class folders in them."
        )
        raise DataError("no class folders with images", where=str(root), hint=hint)
    filled = {record.label for record in records}
    return SourceData(records, empty=tuple(sorted(names - filled, key=natural)))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorting key in which 10 comes after 9."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in re.split(r"(\d+)", text)
        if part
    ]


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        (c for c in root.iterdir() if c.is_dir() and not c.name.startswith((".", "__"))),
        key=lambda c: natural(c.name),
    )


def _images(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        file
        for file in root.rglob("*")
        if file.suffix.lower() in EXTENSIONS and file.is_file() and not file.name.startswith(".")
    )
