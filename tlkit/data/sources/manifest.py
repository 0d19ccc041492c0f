"""CSV, TSV and JSON-lines lists of images and labels."""

from __future__ import annotations

import csv
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from tlkit.data.record import Record, SourceData, SplitName
from tlkit.data.split_name import split_name
from tlkit.errors import DataError, did_you_mean
from tlkit.registry import register

PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
)
LABEL_NAMES = ("label", "class", "class_name", "target", "category", "y")
SPLIT_NAMES = ("split", "set", "subset", "partition", "fold")


@register("manifest")
def manifest(
    *,
    path: str,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    root: str | None = None,
) -> SourceData:
    """Images listed with their labels in a .csv, .tsv or .jsonl file.

    Args:
        path: The manifest.
        path_column: Column of the image's path; found by its name if not given.
        label_column: Column of the class name; found by its name if not given.
        split_column: Column of train, val or test; optional.
        root: Folder that the paths are relative to; the manifest's own by default.

    Raises:
        DataError: naming the line, if the file, a column or a value is missing.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise DataError("no such manifest", where=str(file))
    base = pathlib.Path(root) if root else file.parent
    rows = list(_rows(file))
    if not rows:
        raise DataError("lists no images", where=str(file))
    columns = list(rows[0][1])
    path_column = _column(file, columns, path_column, PATH_NAMES, "path_column")
    label_column = _column(file, columns, label_column, LABEL_NAMES, "label_column")
    if split_column is not None or any(name.lower() in SPLIT_NAMES for name in columns):
        split_column = _column(file, columns, split_column, SPLIT_NAMES, "split_column")
    records = []
    for line, row in rows:
        where = f"{file}:{line}"
        name, label = row.get(path_column), row.get(label_column)
        if name in (None, ""):
            raise DataError(f"no {path_column!r}", where=where)
        if label in (None, ""):
            raise DataError(f"no {label_column!r}", where=where)
        split: SplitName | None = None
        if split_column is not None and row.get(split_column) not in (None, ""):
            split = split_name(str(row[split_column]))
            if split is None:
                raise DataError(
                    f"{row[split_column]!r} in {split_column!r} names no split.",
                    where=where,
                    hint=did_you_mean(str(row[split_column]), ("train", "val", "test")),
                )
        image = pathlib.Path(str(name)).expanduser()
        image = image if image.is_absolute() else base / image
        records.append(Record(str(name), str(label), split, image.read_bytes))
    return SourceData(records)


def _rows(file: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values of each row."""
    kind = file.suffix.lower()
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("is not UTF-8 text", where=str(file)) from None
    if kind in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"is not JSON: {error.msg}", where=f"{file}:{number}") from None
            if not isinstance(row, dict):
                raise DataError(f"expected an object, found {row!r}", where=f"{file}:{number}")
            yield number, row
    elif kind in (".csv", ".tsv"):
        reader = csv.DictReader(text.splitlines(), delimiter="\t" if kind == ".tsv" else ",")
        for row in reader:
            yield reader.line_num, row
    else:
        raise DataError(f"expected .csv, .tsv or .jsonl, found {kind!r}", where=str(file))


def _column(
    file: pathlib.Path, columns: list[str], wanted: str | None, usual: tuple[str, ...], key: str
) -> str:
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"has no column {wanted!r}.", where=f"{file}:1", hint=did_you_mean(wanted, columns)
            )
        return wanted
    for name in usual:
        for column in columns:
            if column is not None and column.lower() == name:
                return column
    raise DataError(
        f"none of its columns ({', '.join(map(str, columns))}) is one of {', '.join(usual[:5])}.",
        where=f"{file}:1",
        hint=f"Name it with data.source.manifest.{key}.",
    )
