"""Hugging Face's imagefolder: metadata.csv or metadata.jsonl next to the images."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from tlkit.data.labelled import LabelledRow, as_records, read_text, root_of, split_of_path
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError, did_you_mean
from tlkit.paths import expanded
from tlkit.registry import register

METADATA = ("metadata.csv", "metadata.jsonl")
FILE_NAMES = ("file_name", "image_file_name")
LABELS = ("label", "labels", "class", "class_name", "category", "target")


@register("imagefolder")
def imagefolder(*, path: str, label_column: str | None = None) -> SourceData:
    """Hugging Face's imagefolder: `metadata.csv` or `metadata.jsonl` in each split folder or above.

    Args:
        path: The folder.
        label_column: Column of the class; by default `label`, `class` or similar.

    Raises:
        DataError: if there is no metadata, or no such column.
    """
    root = root_of(None, expanded(path))
    tree = Tree.of(root)
    files = sorted(name for kind in METADATA for name in tree.called(kind))
    if not files:
        raise DataError(f"holds no {' or '.join(METADATA)}", where=str(root))
    return as_records(
        (row for name in files for row in _rows(root, name, label_column)), root, str(root)
    )


def _rows(root: pathlib.Path, name: str, wanted: str | None) -> Iterator[LabelledRow]:
    file = root / name
    near = name.rpartition("/")[0]
    column = None
    for line, row in _table(file):
        where = f"{file}:{line}"
        if column is None:
            column = label_column(row, wanted, where)
        image = next((str(row[key]) for key in FILE_NAMES if row.get(key)), None)
        if image is None:
            raise DataError(f"no {FILE_NAMES[0]!r}", where=where)
        value = row.get(column)
        values = value if isinstance(value, list) else [value]
        labels = tuple(str(item) for item in values if item not in (None, ""))
        yield LabelledRow(image, labels, split_of_path(f"{near}/{image}"), where, near)


def label_column(row: dict[str, Any], wanted: str | None, where: str) -> str:
    """The column with the class.

    Raises:
        DataError: if there is none.
    """
    columns = [str(key) for key in row if key is not None]
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"has no column {wanted!r}.", where=where, hint=did_you_mean(wanted, columns)
            )
        return wanted
    for name in LABELS:
        for column in columns:
            if column.lower() == name:
                return column
    others = [column for column in columns if column not in FILE_NAMES]
    raise DataError(
        f"has no column of classes; its columns are {', '.join(columns)}.",
        where=where,
        hint=f"Name it with label_column: {others[0]}" if others else "Add a column: label.",
    )


def _table(file: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = read_text(file)
    if file.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        try:
            for row in reader:
                yield reader.line_num, dict(row)
        except csv.Error as error:
            raise DataError(f"is not CSV: {error}", where=f"{file}:{reader.line_num}") from None
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"is not JSON: {error.msg}", where=f"{file}:{number}") from None
        if not isinstance(row, dict):
            raise DataError(f"expected an object, found {row!r}", where=f"{file}:{number}")
        yield number, row
