"""Vertex AI's import files: CSV without a header, or JSON lines, with paths in a bucket."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, read_csv, read_text, root_of
from tlkit.data.record import SourceData, SplitName
from tlkit.data.split_name import split_name
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

ML_USE = "aiplatform.googleapis.com/ml_use"
USES = ("training", "train", "validation", "test", "unassigned", "")


@register("vertex")
def vertex(*, path: str, root: str | None = None) -> SourceData:
    """Vertex AI's (and AutoML Vision's) list: `[use,]gs://bucket/image.jpg,label`, no header.

    `use` is training, validation, test or UNASSIGNED. JSON lines with `imageGcsUri` are read too.
    Images are searched for under `root`, where they were copied from the bucket.

    Args:
        path: The .csv or .jsonl file.
        root: Folder of the images; by default the folder of the file.

    Raises:
        DataError: if a line has another format.
    """
    file = expanded(path)
    base = root_of(root, file.parent)
    rows = _of_json_lines(file) if file.suffix.lower() == ".jsonl" else _of_csv(file)
    return as_records(rows, base, str(file))


def _of_csv(file: pathlib.Path) -> Iterator[LabelledRow]:
    for line, cells in read_csv(file):
        where = f"{file}:{line}"
        split: SplitName | None = None
        if "://" not in cells[0]:
            if cells[0].lower() not in USES:
                raise DataError(
                    f"expected training, validation, test or UNASSIGNED, found {cells[0]!r}",
                    where=where,
                )
            split = split_name(cells[0])
            cells = cells[1:]
        if not cells or "://" not in cells[0]:
            raise DataError("expected gs://bucket/image,label", where=where)
        labels = [cell for cell in cells[1:] if cell]
        if len(labels) > 2 and all(_is_number(cell) for cell in labels[1:]):
            raise DataError(
                "lists boxes, for object detection; tlkit learns what whole images show.",
                where=where,
                hint="Crop each object into an image of its own.",
            )
        yield LabelledRow(cells[0], tuple(labels), split, where)


def _of_json_lines(file: pathlib.Path) -> Iterator[LabelledRow]:
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if not text.strip():
            continue
        where = f"{file}:{line}"
        try:
            row = json.loads(text)
            image = str(row["imageGcsUri"])
            marks = row.get("classificationAnnotations") or [
                row.get("classificationAnnotation") or {}
            ]
            if "boundingBoxAnnotations" in row:
                raise DataError(
                    "lists boxes, for object detection; tlkit learns what whole images show",
                    where=where,
                )
            labels = tuple(str(mark["displayName"]) for mark in marks if mark)
            use = str((row.get("dataItemResourceLabels") or {}).get(ML_USE, ""))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise DataError(
                "expected an object with imageGcsUri and a label", where=where
            ) from None
        yield LabelledRow(image, labels, split_name(use), where)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
