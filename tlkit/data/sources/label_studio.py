"""Label Studio's exports for image classification: JSON, JSON-MIN, CSV and TSV."""

from __future__ import annotations

import csv
import io
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tlkit.data.labelled import LabelledRow, as_records, built_as, read_json, read_text, root_of
from tlkit.data.record import SourceData
from tlkit.errors import DataError, some_of
from tlkit.paths import expanded
from tlkit.registry import register

# Label Studio's own columns, which hold neither the image nor the class
BOOKKEEPING = {"id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time"}
PICTURE = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?|avif|heic)($|[?&])", re.IGNORECASE)


@register("label_studio")
def label_studio(*, path: str, root: str | None = None) -> SourceData:
    """Label Studio's export (JSON, JSON-MIN, CSV or TSV) with choices for whole images.

    Paths such as `/data/upload/1/1a2b3c4d-cat.jpg`, `/data/local-files/?d=cats/cat.jpg` and those
    in buckets are searched for under `root`, with and without the upload prefix.

    Args:
        path: The exported file.
        root: Folder of the images; by default the folder of the file.

    Raises:
        DataError: if it has no choices, or annotators disagree about an image.
    """
    file = expanded(path)
    base = root_of(root, file.parent)
    if file.suffix.lower() in (".csv", ".tsv"):
        rows = list(_of_table(file))
    else:
        with built_as("Label Studio's JSON", file):
            rows = list(_of_json(file))
    return as_records(rows, base, str(file))


def _of_json(file: pathlib.Path) -> Iterator[LabelledRow]:
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError("is not Label Studio's JSON: expected a list of tasks", where=str(file))
    kinds: set[str] = set()
    for number, task in enumerate(tasks, 1):
        where = f"{file}, task {task.get('id', number)}"
        if "annotations" not in task and "completions" not in task:
            yield _of_row(task, where)
            continue
        said: list[tuple[str, ...]] = []
        for annotation in task.get("annotations") or task.get("completions") or []:
            if annotation.get("was_cancelled"):
                continue
            labels: list[str] = []
            for result in annotation.get("result") or []:
                kinds.add(str(result.get("type")))
                value = result.get("value") or {}
                labels += _choices(value.get("choices"), where)
            said.append(tuple(labels))
        data = task.get("data")
        image = _picture(data if isinstance(data, dict) else {}, where)
        yield LabelledRow(image, _agreed(said, image, where), None, where)
    if kinds and "choices" not in kinds:
        raise DataError(
            f"is for {some_of(sorted(kinds))}, not for choices: tlkit learns what whole images show.",
            where=str(file),
            hint="Crop each object into an image of its own, or add <Choices> and label the images.",
        )


def _agreed(said: list[tuple[str, ...]], image: str, where: str) -> tuple[str, ...]:
    """The labels of an image that one or several annotators labelled.

    Raises:
        DataError: if they do not agree.
    """
    kinds = {frozenset(labels) for labels in said if labels}
    if len(kinds) > 1:
        told = " and ".join(sorted(some_of(sorted(kind)) for kind in kinds))
        raise DataError(
            f"people label {image} differently: {told}.",
            where=where,
            hint="Leave one annotation of each task in Label Studio, and export again.",
        )
    return next((labels for labels in said if labels), ())


def _of_table(file: pathlib.Path) -> Iterator[LabelledRow]:
    separator = "\t" if file.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), delimiter=separator)
    try:
        for row in reader:
            yield _of_row(dict(row), f"{file}:{reader.line_num}")
    except csv.Error as error:
        raise DataError(f"is not CSV: {error}", where=f"{file}:{reader.line_num}") from None


def _of_row(row: dict[str, Any], where: str) -> LabelledRow:
    """A task of JSON-MIN or CSV, where each control tag is a column."""
    image = _picture(row, where)
    found = row.get("choice")
    if found is None:
        named = [
            key
            for key, value in row.items()
            if key not in BOOKKEEPING and value and value != image and key is not None
        ]
        found = row[named[0]] if len(named) == 1 else row.get("label") if named else None
    return LabelledRow(image, _choices(found, where), None, where)


def _choices(value: Any, where: str) -> tuple[str, ...]:
    """The labels in `cat`, `{"choices": ["cat", "dog"]}` or the latter as text."""
    if isinstance(value, str) and value.strip().startswith(("{", "[")):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return (value,)
    if isinstance(value, dict):
        value = value.get("choices", [])
    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            raise DataError(
                "holds boxes or masks, not choices: tlkit learns what whole images show.",
                where=where,
                hint="Crop each object into an image of its own.",
            )
        return tuple(str(item) for item in value)
    return () if value in (None, "") else (str(value),)


def _picture(data: dict[str, Any], where: str) -> str:
    """The value of a task that is an image path."""
    texts = [(key, value) for key, value in data.items() if isinstance(value, str)]
    for key, value in texts:
        if key in ("image", "img", "picture", "photo"):
            return value
    for _, value in texts:
        if PICTURE.search(value):
            return value
    raise DataError(f"names no picture; it has {some_of([key for key, _ in texts])}", where=where)
