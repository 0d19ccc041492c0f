"""COCO's JSON."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tlkit.data.labelled import (
    LabelledRow,
    as_records,
    built_as,
    head,
    read_json,
    root_of,
    split_of_path,
)
from tlkit.data.record import SourceData, SplitName
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register


@register("coco")
def coco(*, path: str, root: str | None = None) -> SourceData:
    """COCO annotations: the categories shown in an image; boxes and masks are not used.

    Args:
        path: The JSON file, or a folder with one or more, such as `instances_train.json` and
            `instances_val.json`, or `train/_annotations.coco.json`: such names determine the split.
        root: Folder of the images; by default `path`, or the folder of the file.

    Raises:
        DataError: if a file is not COCO.
    """
    place = expanded(path)
    files = json_files(place) if place.is_dir() else [place]
    if not files:
        raise DataError("holds no COCO JSON", where=str(place))
    base = root_of(root, place if place.is_dir() else place.parent)
    if root is None and place.is_file() and place.parent.name == "annotations":
        base = place.parent.parent
    several = len(files) > 1
    return as_records(
        (row for file in files for row in coco_rows(file, base, several)), base, str(place)
    )


def json_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The COCO files in a folder, except those for captions, keypoints and unlabelled images."""
    names = [name for name in Tree.of(folder).files if name.lower().endswith(".json")]
    kept = [name for name in names if not re.search(r"caption|keypoint|image_info", name)]
    return [folder / name for name in kept if is_coco(folder / name)]


def is_coco(file: pathlib.Path) -> bool:
    """Whether a file's first kilobytes look like COCO's."""
    start = head(file)
    marks = ('"file_name"', '"image_id"', '"supercategory"')
    return start.startswith("{") and any(mark in start for mark in marks)


def coco_rows(file: pathlib.Path, base: pathlib.Path, several: bool) -> Iterator[LabelledRow]:
    """The images of one file.

    Args:
        file: The JSON.
        base: Folder of the images.
        several: Whether there are other files, so that their names determine the splits.
    """
    told = read_json(file)
    with built_as("COCO's JSON", file):
        names = _by_id(((row["id"], row["name"]) for row in told["categories"]), "categories", file)
        _by_id(((row["id"], row["file_name"]) for row in told["images"]), "images", file)
        shown: dict[str, list[str]] = {str(row["id"]): [] for row in told["images"]}
        for row in told["annotations"]:
            shown[str(row["image_id"])].append(names[str(row["category_id"])])
        images: list[Any] = told["images"]
        paths = [(str(row["id"]), str(row["file_name"])) for row in images]
    near = _near(file, base)
    split = _split(file) if several else None
    for number, path in paths:
        # train/ in an image's own path also determines the split
        yield LabelledRow(
            path,
            tuple(shown[number]),
            split_of_path(path) or split,
            str(file),
            near,
            certain=True,
        )


def _by_id(pairs: Iterable[tuple[Any, Any]], what: str, file: pathlib.Path) -> dict[str, str]:
    """Names by id.

    Raises:
        DataError: if two share an id.
    """
    found: dict[str, str] = {}
    for key, value in pairs:
        first = found.setdefault(str(key), str(value))
        if first != str(value):
            raise DataError(
                f"two of its {what} have the id {key}: {first!r} and {str(value)!r}.",
                where=str(file),
                hint="Give each an id of its own.",
            )
    return found


def _near(file: pathlib.Path, base: pathlib.Path) -> str:
    """The image folder of a file: `train2017` for `instances_train2017.json`, else its folder."""
    for start in ("", "images/"):
        named = start + file.stem.partition("_")[2]
        if file.stem.partition("_")[2] and (base / named).is_dir():
            return named
    try:
        near = file.parent.relative_to(base).as_posix()
    except ValueError:
        return ""
    return "" if near == "." else near


def _split(file: pathlib.Path) -> SplitName | None:
    """The split of a file: `instances_val2017.json` and `valid/_annotations.coco.json` -> val."""
    for word in re.findall(r"[a-z]+", file.stem.lower())[::-1]:
        if split := split_name(word):
            return split
    return split_of_path(str(file))
