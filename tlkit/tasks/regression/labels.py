"""Numeric labels of images: parsed from the texts of a list, with remarks about them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from tlkit.data.label_text import NUMBER
from tlkit.data.record import Record, SourceData
from tlkit.data.refused_rows import refuse_rows
from tlkit.errors import DataError, some_of

ENOUGH = 10  # fewest images for recognising that labels are measured numbers
COMMA = re.compile(r"[+-]?\d+,\d+")
HINT = "List the images with a number each in a CSV, and use: source: {manifest: LIST.csv}"


def looks_like_numbers(records: Sequence[Record]) -> bool:
    """Whether labels are measured: all numbers, some of them not whole, and mostly distinct."""
    values = [_number(text) for record in records for text in record.labels or ("",)]
    if len({len(record.labels or ()) for record in records}) > 1:
        return False
    if len(records) < ENOUGH or not all(math.isfinite(value) for value in values):
        return False
    whole = all(value == int(value) for value in values)
    return not whole and len(set(values)) > len(values) / 2


def numbers_of(records: Sequence[Record], source: SourceData) -> tuple[np.ndarray, list[str]]:
    """The numbers of records, float64 `(n, columns)`, and the column names.

    Raises:
        DataError: naming the lines that hold anything else.
    """
    if any(record.labels is None for record in records):
        raise DataError("its folders are classes, and regression learns numbers.", hint=HINT)
    if source.flags:
        raise DataError(
            f"columns of 0 and 1 ({some_of(source.flags, 5)}) are classes, and regression learns numbers.",
            hint="Name the columns of the numbers: label_column: [...]. Where 0 and 1 say whether an image "
            "has a label: task: multi-label",
        )
    columns = list(source.columns) or ["value"]
    values = np.full((len(records), len(columns)), np.nan)
    problems: list[tuple[str, str]] = []
    for row, record in enumerate(records):
        texts = record.labels or ()
        if len(texts) != len(columns):
            problems.append((record.where, f"{len(texts)} values for {len(columns)} columns"))
            continue
        for column, text in enumerate(texts):
            values[row, column] = _number(text)
            if not math.isfinite(values[row, column]):
                problems.append((record.where, f"{text!r} in {columns[column]!r} is not a number"))
    refuse_rows(problems, "numbers cannot be used", _hint(problems, len(records)))
    return values, columns


def _number(text: str) -> float:
    """The number, or NaN if the text is not one."""
    return float(text) if NUMBER.fullmatch(text) else math.nan


def _hint(problems: Sequence[tuple[str, str]], images: int) -> str:
    """A hint for rows that hold no numbers."""
    if any(COMMA.search(text) for _, text in problems):
        return "Write numbers with a point: 3.5"
    return "If these are classes: task: classification" if len(problems) > images / 2 else ""
