"""Lists as spreadsheets, scripts and users write them: text in columns, or JSON lines."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.errors import DataError, some_of

COLUMNS = (".csv", ".tsv", ".txt", ".lst")
LINES = (".jsonl", ".ndjson")
LOOKED_AT = 100  # rows used to detect the separator
SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}


@dataclasses.dataclass
class Table:
    """A list, usually of images.

    Attributes:
        columns: Trimmed names of the columns; 1, 2, ... if the file has no header.
        rows: Line number, counted from 1, and values of each row; `""` for a missing value.
        notes: How it was read, if that is not obvious.
        wrong: Line number of each row whose columns differ from the others, and what is wrong.
    """

    columns: list[str]
    rows: list[tuple[int, dict[str, Any]]]
    notes: list[str] = dataclasses.field(default_factory=list)
    wrong: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def sample(self, most: int) -> list[dict[str, Any]]:
        """Some rows, spread evenly over all."""
        step = max(1, -(-len(self.rows) // most))
        return [row for _, row in self.rows[::step]][:most]


def read_table(file: pathlib.Path, is_header: Callable[[list[str]], bool] | None = None) -> Table:
    """Reads a .csv, .tsv, .txt, .jsonl or .ndjson file.

    Its encoding, its separator, and whether it has a header are detected from its content.

    Args:
        file: The list.
        is_header: Whether a first row is a header; a row with a picture's name never is.

    Raises:
        DataError: if it cannot be read, or is of another format.
    """
    kind = file.suffix.lower()
    if kind not in (*COLUMNS, *LINES):
        raise DataError(f"expected .csv, .tsv, .txt or .jsonl, found {kind!r}", where=str(file))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(file)) from None
    text, notes = decode_text(data)
    if kind in LINES:
        rows = list(_json_lines(text, file))
        columns = list(dict.fromkeys(key for _, row in rows for key in row))
        return Table(columns, rows, notes)
    cells = _cells(text, kind, file, notes)
    if not cells:
        return Table([], [], notes)
    first = [cell.strip() for cell in cells[0][1]]
    header = not any(_is_picture(cell) for cell in first) and (is_header or bool)(first)
    columns = first if header else [str(number) for number in range(1, len(first) + 1)]
    if header:
        cells = cells[1:]
        twice = sorted({name for name in columns if name and columns.count(name) > 1})
        if twice:
            raise DataError(f"two columns are called {some_of(twice)}", where=f"{file}:1")
    else:
        notes.append(f"it has no header; its columns are called {', '.join(columns)}")
    table = Table(columns, [], notes)
    for line, values in cells:
        while len(values) > len(columns) and not values[-1].strip():
            values = values[:-1]
        if len(values) > len(columns):
            table.wrong.append((line, f"{len(values)} values for {len(columns)} columns: one with the "
                                "separator in it needs quotes"))  # fmt: skip
            continue
        values = values + [""] * (len(columns) - len(values))
        table.rows.append((line, dict(zip(columns, values, strict=True))))
    return table


def decode_text(data: bytes) -> tuple[str, list[str]]:
    """Decodes text of any encoding; returns it with a note if the encoding was guessed."""
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(name, "replace"), []
    if b"\0" in data[:4096]:
        name = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        return data.decode(name, "replace"), [f"its text is taken for {name.upper()}"]
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    try:
        text, name = data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        text, name = data.decode("latin-1"), "Latin-1"
    seen = re.search(r"[^\x00-\x7f]", text)
    place = seen.start() if seen else 0
    shown = " ".join(text[max(0, place - 15) : place + 10].split())
    return text, [f"its text is not UTF-8 (line {line}) and was read as {name}: {shown!r}; if that is "
                  "wrong, save it as UTF-8"]  # fmt: skip


def _json_lines(text: str, file: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"is not JSON: {error.msg}", where=f"{file}:{number}") from None
        except RecursionError:
            raise DataError("is nested too deeply", where=f"{file}:{number}") from None
        if not isinstance(row, dict):
            raise DataError(f"expected an object, found {row!r:.80}", where=f"{file}:{number}")
        yield number, {key.strip(): value for key, value in row.items()}


def _cells(
    text: str, kind: str, file: pathlib.Path, notes: list[str]
) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty."""
    said = re.match(r'"?sep=(.)"?\r?\n', text)  # as written and read by Excel
    if said:
        separator: str | None = said[1]
    else:
        separator = _separator(text, "\t" if kind == ".tsv" else ",")
    if separator is None and kind in (".txt", ".lst"):  # `a b.jpg 3`: the label is the last word
        lines = enumerate(text.splitlines(), 1)
        return [(n, line.rsplit(None, 1)) for n, line in lines if line.strip()]
    usual = "\t" if kind == ".tsv" else ","
    if separator not in (None, usual) and not said:
        notes.append(f"its columns are separated by {SEPARATORS[str(separator)]}")
    _refuse_open_quote(text, separator or usual, file)
    rows = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator or usual, skipinitialspace=True
    )
    try:
        before = 0
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((before + 1, cells))
            before = reader.line_num
    except csv.Error as error:
        raise DataError(f"is not a table: {error}", where=f"{file}:{before + 1}") from None
    return rows[1:] if said else rows


def _refuse_open_quote(text: str, separator: str, file: pathlib.Path) -> None:
    """Rejects a list with a quote that is never closed: all rows behind it would be one cell."""
    if text.count('"') % 2 == 0:
        return
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    before = 0
    try:
        for _ in reader:
            before = reader.line_num
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise DataError(
                "a quote is never closed.",
                where=f"{file}:{before + 1}",
                hint='Close it, or write two quotes for one: "".',
            ) from None


def _separator(text: str, usual: str) -> str | None:
    """The separator that divides the first rows into equally many columns; None if none does."""
    head = io.StringIO(text[: LOOKED_AT * 1000], newline="")
    lines = [line for _, line in zip(range(LOOKED_AT), head, strict=False)]
    found: list[tuple[float, str]] = []
    for separator in sorted(SEPARATORS, key=lambda one: one != usual):
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            found.append((sum(width == widths[0] for width in widths) / len(widths), separator))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _is_picture(cell: str) -> bool:
    return os.path.splitext(cell)[1].lower() in PICTURE_ENDINGS
