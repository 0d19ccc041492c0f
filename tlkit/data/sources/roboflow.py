"""Roboflow's multi-label export: images and a `_classes.csv` in each split folder."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, read_csv, root_of, split_of_path
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

CLASSES = "_classes.csv"


@register("roboflow")
def roboflow(*, path: str) -> SourceData:
    """Roboflow's table export: train/, valid/ and test/, each with images and _classes.csv.

    Each column is a class. For Roboflow's export as class folders, use `folder`.

    Args:
        path: The folder.

    Raises:
        DataError: if there is no such table, or a value is neither 0 nor 1.
    """
    root = root_of(None, expanded(path))
    tables = Tree.of(root).called(CLASSES)
    if not tables:
        raise DataError(f"holds no {CLASSES}", where=str(root))
    return as_records((row for table in tables for row in _rows(root, table)), root, str(root))


def _rows(root: pathlib.Path, table: str) -> Iterator[LabelledRow]:
    file = root / table
    rows = read_csv(file)
    _, names = next(rows, (0, [""]))
    if names[0].lower() != "filename" or len(names) < 2:
        what = (
            "lists colours of a mask, for segmentation"
            if "pixel" in names[0].lower()
            else (
                f"expected a first line as filename, class, class, ...; found {', '.join(names[:4])}"
            )
        )
        raise DataError(what, where=f"{file}:1")
    near = table.rpartition("/")[0]
    for line, cells in rows:
        where = f"{file}:{line}"
        if len(cells) != len(names):
            raise DataError(f"expected {len(names)} values, found {len(cells)}", where=where)
        wrong = next((cell for cell in cells[1:] if cell not in ("0", "1")), None)
        if wrong is not None:
            raise DataError(f"expected 0 or 1, found {wrong!r}", where=where)
        labels = tuple(name for name, cell in zip(names[1:], cells[1:], strict=True) if cell == "1")
        yield LabelledRow(cells[0], labels, split_of_path(table), where, near, certain=True)
