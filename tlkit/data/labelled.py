"""Turns the annotations of a labelling tool into records of files found under a folder."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tlkit.data.label_text import odd_labels
from tlkit.data.read_file import MissingFile, reader
from tlkit.data.record import IgnoredFile, Record, SourceData, SplitName
from tlkit.data.sources.folder import class_name
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of
from tlkit.paths import expanded

MOST_BYTES = 2_000_000_000  # largest annotation file


@dataclasses.dataclass(frozen=True)
class LabelledRow:
    """One image as described by a labelling tool.

    Attributes:
        image: Path of the image as the tool writes it.
        labels: Its classes, any number of them.
        split: Split named by the tool, or None.
        where: `file:line`, or the file, that the row comes from.
        near: Folder of that file, relative to the root of the images.
        certain: Whether an image without labels is known to have none, not just unlabelled.
    """

    image: str
    labels: tuple[str, ...]
    split: SplitName | None
    where: str
    near: str = ""
    certain: bool = False


def as_records(rows: Iterable[LabelledRow], root: pathlib.Path, where: str) -> SourceData:
    """Labelled images as records; all other files of the folder are listed as ignored.

    Args:
        rows: Rows from a tool; several rows of one image are merged. An image without labels is
            left out, unless it is certain and other images have several labels.
        root: Folder of the images.
        where: Name of the data in messages.

    Raises:
        DataError: if no image has a class, or no file is found.
    """
    tree = Tree.of(root)
    merged: dict[str, LabelledRow] = {}
    for row in rows:
        label = tuple(dict.fromkeys(text for name in row.labels if (text := class_name(name))))
        key = f"{row.near}\0{row.image}"
        known = merged.get(key)
        if known is not None:
            label = tuple(dict.fromkeys((*known.labels, *label)))
        merged[key] = dataclasses.replace(
            row,
            labels=label,
            split=row.split or (known.split if known else None),
            certain=row.certain and (known is None or known.certain),
        )
    labelled = [row for row in merged.values() if row.labels]
    if not labelled:
        raise DataError("names no image with a class", where=where)
    if any(len(row.labels) > 1 for row in labelled):
        labelled = [row for row in merged.values() if row.labels or row.certain]
    records = []
    problems = []
    for row in labelled:
        read: Callable[[], bytes]
        try:
            name = tree.find(row.image, row.near)
            read = reader(tree.places[name])
        except FileNotFoundError as error:
            problems.append(f"{row.image}: {error.strerror}")
            name, read = row.image, MissingFile(str(error.strerror))
        records.append(Record(name, "|".join(row.labels), row.split, read, row.labels, row.where))
    if len(problems) == len(records):
        raise DataError(
            f"none of its {len(records)} images is under {root} ({some_of(problems, 1)}).",
            where=where,
            hint="Say which folder they are in with root:.",
        )
    used = {record.name for record in records}
    unlabelled = [
        IgnoredFile(name, f"has no class in {pathlib.Path(where).name}")
        for name in tree.pictures
        if name not in used
    ]
    single = all(len(row.labels) == 1 for row in labelled)
    notes = odd_labels([record.label for record in records]) if single else []
    return SourceData(records, ignored=(*unlabelled, *tree.ignored), notes=tuple(notes))


def split_of_path(path: str) -> SplitName | None:
    """The split named by a folder in a path; the innermost folder takes precedence."""
    for part in reversed(path.replace("\\", "/").split("/")[:-1]):
        if split := split_name(part):
            return split
    return None


def head(file: pathlib.Path) -> str:
    """The first characters of a text file; empty if it cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read(65536).decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    except OSError:
        return ""


def read_text(file: pathlib.Path) -> str:
    """Reads a text file written by a tool.

    Raises:
        DataError: if it is missing, too large or not UTF-8.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"is larger than {MOST_BYTES / 1e9:.0f} GB", where=str(file))
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(file)) from None


def read_json(file: pathlib.Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: if it cannot be read or is not valid JSON.
    """
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error.msg}", where=f"{file}:{error.lineno}") from None
    except RecursionError:
        raise DataError("is nested too deeply", where=str(file)) from None


@contextlib.contextmanager
def built_as(what: str, file: pathlib.Path) -> Iterator[None]:
    """Inside, errors from parsing a file are reported as entries that the tool would not write.

    Raises:
        DataError: in place of the error raised by an invalid entry.
    """
    try:
        yield
    except KeyError as error:
        raise DataError(f"is not {what}: no {error}", where=str(file)) from None
    except (TypeError, AttributeError, ValueError):
        raise DataError(
            f"is not {what}: an entry is of another kind than expected", where=str(file)
        ) from None


def read_csv(file: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of each row that is not empty.

    Raises:
        DataError: if it is not CSV.
    """
    reader = csv.reader(io.StringIO(read_text(file), newline=""), skipinitialspace=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", where=f"{file}:{reader.line_num}") from None


def root_of(root: str | None, default: pathlib.Path) -> pathlib.Path:
    """The image folder given to a source, or the default.

    Raises:
        DataError: if it is not a folder.
    """
    folder = expanded(root) if root else default
    if not folder.is_dir():
        raise DataError("no such folder of images", where=str(folder))
    return folder
