"""CSV, TSV, text and JSON-lines lists of images and labels."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.data.label_text import (
    DOUBTFUL,
    MOST_ALONE,
    NUMBER,
    are_measured,
    divided,
    is_prose,
    label_text,
    listed,
    odd_labels,
    seemingly_joined,
    several_by,
)
from tlkit.data.listed_files import ListedFiles, what_it_is
from tlkit.data.read_file import MissingFile, reader
from tlkit.data.record import IgnoredFile, Record, SourceData, SplitName
from tlkit.data.refused_rows import refuse_rows
from tlkit.data.split_name import split_name
from tlkit.data.table import Table, read_table
from tlkit.errors import DataError, did_you_mean, some_of
from tlkit.paths import expanded, legible
from tlkit.registry import register
from tlkit.text import shortened

PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "image_file",
    "img",
    "img_path",
    "image_id",
    "id",
    "id_code",
    "name",
)
LABEL_NAMES = (
    "label",
    "class",
    "class_name",
    "target",
    "category",
    "y",
    "label_name",
    "labels",
    "classes",
    "tags",
    "species",
    "breed",
    "diagnosis",
)
SPLIT_NAMES = ("split", "set", "subset", "partition", "fold", "usage")
FLAG = re.compile(r"(?:is|in|for)_(.+)")  # is_valid, as in fastai's lists
YES, NO = frozenset({"true", "1", "yes", "y", "t"}), frozenset({"false", "0", "no", "n", "f", ""})
LOOKED_AT = 40  # rows used to find columns and folders
MOST_FOLDERS = 200  # folders beside the list that are searched for images
FLAGS = frozenset({"0", "1", "true", "false"})
MOSTLY = 0.9  # fraction of a column that must be 0 and 1 for the rest to be mistakes
ENOUGH = 0.5  # least fraction of a column's values that are files for a column of paths


@register("manifest")
def manifest(
    *,
    path: str,
    path_column: str | None = None,
    label_column: str | list[str] | None = None,
    split_column: str | None = None,
    root: str | None = None,
    separator: str | None = None,
) -> SourceData:
    """Images listed with their labels in a .csv, .tsv, .txt or .jsonl file.

    Columns are found by their values and names; without a header they are named 1, 2, ... Labels
    are trimmed, whole numbers are written without `.0`, and columns of 0 and 1 are one class each.
    Several labels of an image are written as `cat|red`, as a list, or in one row each.

    Args:
        path: The manifest.
        path_column: Column of the image path, or its name without the extension; found by default.
        label_column: Column of the class name, or of a number; a list of columns for several
            numbers per image, or for classes that are columns of 0 and 1. Found by default.
        split_column: Column of train, val or test; optional.
        root: Folder that the paths are relative to; names without a folder are found in its
            subfolders too. By default the manifest's folder, or one beside it with the images.
        separator: Separator of several labels in one cell; `|`, `;` and `,` are detected if parts
            of such cells are labels elsewhere too.

    Raises:
        DataError: with the lines, if the file, a column, a value or all images are missing, or if
            rows contradict each other.
    """
    file = expanded(path)
    if not file.is_file():
        raise DataError("no such manifest", where=str(file))
    asked = [label_column] if isinstance(label_column, str) else list(label_column or ())
    given = [name for name in (path_column, *asked, split_column) if name]
    table = read_table(file, functools.partial(_is_header, given))
    if not table.rows and not table.wrong:
        raise DataError("lists no images", where=str(file))
    for wanted in given:
        if wanted not in table.columns:
            raise DataError(
                f"has no column {wanted!r}.",
                where=f"{file}:1",
                hint=did_you_mean(wanted, table.columns),
            )
    base = expanded(root) if root else file.parent
    if root and not base.is_dir():
        raise DataError("no such folder of images", where=str(base))
    columns, files = _columns(
        file,
        table,
        base if root is not None else None,
        Columns(path_column or "", asked[0] if asked else "", split_column, tuple(asked[1:])),
    )
    return _read(file, table, columns, files, separator)


def _is_header(given: Sequence[str], cells: list[str]) -> bool:
    """Whether a first row is a header; not if columns are given by numbers that it lacks."""
    return any(name in cells for name in given) or not any(name.isdecimal() for name in given)


@dataclasses.dataclass
class Columns:
    """The role of each column of a list.

    Attributes:
        path: Column of the image path.
        label: Column of its class; empty if there are `classes`.
        split: Column of train, val or test, if there is one.
        more: Columns of further labels of the same image, besides `label`.
        classes: Columns of 0 and 1, one for each class.
        flags: Yes/no columns such as `is_valid`, and the split of each.
    """

    path: str
    label: str
    split: str | None = None
    more: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    flags: tuple[tuple[str, SplitName], ...] = ()


def _plain(column: str) -> str:
    """A column's name, normalised for comparison with common names."""
    return re.sub(r"[\W_]+", "_", column.strip().casefold()).strip("_")


def _columns(
    file: pathlib.Path, table: Table, root: pathlib.Path | None, wanted: Columns
) -> tuple[Columns, ListedFiles]:
    """The columns given or found, and the finder for the files they name.

    Args:
        file: List file.
        table: Content of the list.
        root: Folder that its paths start from, if the recipe gives it.
        wanted: Columns given in the recipe.
    """
    sample = table.sample(LOOKED_AT)
    path, files = _path_column(file, table, sample, root, wanted.path)
    rest = [name for name in table.columns if name and name != path]
    split = wanted.split
    if split is None:
        usual = (name for one in SPLIT_NAMES for name in rest if _plain(name) == one)
        split = next((name for name in usual if _is_split(table, name)), None)
    flags = {name: flag for name in rest if (flag := split_flag(name)) and _is_flag(table, name)}
    rest = [name for name in rest if name != split and name not in flags]
    if flags and split is None:
        note = f"splits are from {some_of([repr(name) for name in flags])}"
        if set(flags.values()) == {"train"}:
            note += ": what is not train is test"
        table.notes.append(note)
    found = _labels(file, table, sample, rest, wanted)
    marked = () if split else tuple(flags.items())
    return dataclasses.replace(found, path=path, split=split, flags=marked), files


def _labels(
    file: pathlib.Path,
    table: Table,
    sample: list[dict[str, Any]],
    rest: list[str],
    wanted: Columns,
) -> Columns:
    """The column of the class, or the columns of 0 and 1, among the remaining columns."""
    if wanted.label:
        asked = (wanted.label, *wanted.more)
        if wanted.more and all(_are_flags([row.get(n) for _, row in table.rows]) for n in asked):
            return Columns("", "", classes=asked)
        return Columns("", wanted.label, more=wanted.more)
    fit = [name for one in LABEL_NAMES for name in rest if _plain(name) == one]
    if fit:
        if len(fit) > 1:
            table.notes.append(
                f"labels are from column {fit[0]!r}; {some_of([repr(n) for n in fit[1:]])} would fit "
                "too (label_column)"
            )
        return Columns("", fit[0])
    binary = [n for n in rest if _are_flags([row[n] for row in sample if n in row])]
    if len(binary) > 1:
        table.notes.append(f"columns {some_of(binary, 5)} of 0 and 1 are one class each")
        nearly = [
            n for n in rest if n not in binary and _are_mostly_flags([row.get(n) for row in sample])
        ]
        if nearly:
            table.notes.append(
                f"column {some_of([repr(n) for n in nearly])} is not used: not all of its numbers are 0 or 1"
            )
        return Columns("", "", classes=tuple(binary))
    others = [n for n in rest if any(label_text(row.get(n, "")) for row in sample)]
    if len(others) == 1:
        values = [label_text(row.get(others[0])) for row in sample]
        if are_measured(values):
            table.notes.append(f"numbers are from column {others[0]!r}")
            return Columns("", others[0])
        if is_prose(values) or MOST_ALONE < len(values) == len(set(values)):
            raise DataError(
                f"no column is called as classes are, and {others[0]!r} holds texts that do not "
                f"look like classes: {shortened(values[0], 60)!r}.",
                where=f"{file}:1",
                hint=f"If they are classes all the same: label_column: {others[0]}",
            )
        table.notes.append(f"labels are from column {others[0]!r}")
        return Columns("", others[0])
    raise _no_column(file, table.columns, LABEL_NAMES, "label_column")


def _are_flags(values: Sequence[Any]) -> bool:
    """Whether values are 0 and 1, but for a few that are no numbers and must be mistakes."""
    odd = [text for value in values if (text := label_text(value).lower()) not in FLAGS]
    return _are_mostly_flags(values) and not any(NUMBER.fullmatch(text) for text in odd)


def _are_mostly_flags(values: Sequence[Any]) -> bool:
    """Whether most values are 0 and 1."""
    flags = sum(label_text(value).lower() in FLAGS for value in values)
    return flags >= MOSTLY * len(values)


def split_flag(column: str) -> SplitName | None:
    """The split of a yes/no column: val for `is_valid`, train for `is_training_image`."""
    found = FLAG.fullmatch(_plain(column))
    return split_name(found[1]) if found else None


def _is_flag(table: Table, column: str) -> bool:
    """Whether all values of a column are yes or no."""
    values = {_flag(row.get(column)) for _, row in table.rows}
    return None not in values and True in values


def _flag(value: Any) -> bool | None:
    """A yes or no as written by spreadsheets and JSON; None for anything else."""
    text = label_text(value).lower()
    return True if text in YES else False if text in NO else None


def _path_column(
    file: pathlib.Path,
    table: Table,
    sample: list[dict[str, Any]],
    root: pathlib.Path | None,
    wanted: str,
) -> tuple[str, ListedFiles]:
    """The column whose values are files, and the finder for these files."""
    told = root is not None
    base = root or file.parent
    usual = [name for one in PATH_NAMES for name in table.columns if _plain(name) == one]
    looks = [n for n in table.columns if n and n not in usual and _looks_like_paths(sample, n)]
    candidates = [wanted] if wanted else usual + looks or [n for n in table.columns if n]
    places = [base] if told else [base, *_near(file)]
    for place in places:
        files = ListedFiles(place, deep=told)
        found = {name: _share(files, [row.get(name, "") for row in sample]) for name in candidates}
        best = max(candidates, key=lambda name: found[name], default="")
        if not best or found[best] < ENOUGH:
            continue
        fit = [name for name in candidates if name != best and found[name] == found[best]]
        if fit:
            table.notes.append(
                f"paths are from column {best!r}; {some_of([repr(n) for n in fit])} would fit too "
                "(path_column)"
            )
        elif usual and best != usual[0] and not wanted:
            table.notes.append(f"paths are from column {best!r}, whose values are files")
        if place != base:
            table.notes.append(f"its paths lie under {place} (root: {place})")
        return best, ListedFiles(place, deep=told)
    if wanted or usual:
        return wanted or usual[0], ListedFiles(base, deep=told)
    if looks:
        return looks[0], ListedFiles(base)
    raise _no_column(file, table.columns, PATH_NAMES, "path_column")


def _looks_like_paths(sample: Sequence[dict[str, Any]], column: str) -> bool:
    """Whether most values of a column end with the extension of a picture."""
    endings = [os.path.splitext(str(row.get(column, "")).strip())[1].lower() for row in sample]
    return sum(ending in PICTURE_ENDINGS for ending in endings) > len(endings) / 2


def _near(file: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders that may hold the images of a list: those beside it, in these, and above it."""
    try:
        beside = sorted(entry for entry in file.parent.iterdir() if entry.is_dir())[:MOST_FOLDERS]
        yield from beside
        for folder in beside[:20]:
            yield from sorted(entry for entry in folder.iterdir() if entry.is_dir())[:20]
    except OSError:
        return
    yield from list(file.resolve().parents)[1:3]


def _share(files: ListedFiles, values: Sequence[Any]) -> float:
    """Fraction of values that are files; a name without its extension counts for less."""
    names = [str(value).strip() for value in values]
    found = 0.0
    for name in names:
        place = files.find(name) if name and _is_text(name) else None
        if place is not None and not os.path.isdir(place):
            found += 1.0 if os.path.splitext(name)[1] else 0.9
    return found / max(len(names), 1)


def _is_split(table: Table, column: str) -> bool:
    """Whether a column names splits; one called `fold` or `set` with other values is left alone."""
    values = {str(row.get(column, "")).strip() for _, row in table.rows} - {""}
    if any(split_name(value) for value in values):
        return True
    numbered = all(re.fullmatch(r"[A-Za-z_ -]*\d+(\.0+)?", value) for value in values)
    if _plain(column) == "split" and values and not numbered:
        return True  # values that are not splits are reported by line
    if values:
        shown = some_of(sorted(values, key=lambda one: (len(one), one)), 4)
        table.notes.append(f"column {column!r} holds {shown}: not used as splits")
    return False


def _no_column(
    file: pathlib.Path, columns: Sequence[str], usual: Sequence[str], key: str
) -> DataError:
    return DataError(
        f"none of its columns ({', '.join(map(str, columns))}) is one of {', '.join(usual[:5])}.",
        where=f"{file}:1",
        hint=f"Name it with data.source.manifest.{key}.",
    )


@dataclasses.dataclass(frozen=True)
class _Row:
    """The content of one row, or of several rows of one image.

    Attributes:
        line: Line in the list, or several, such as `2,6`.
        name: Name of the file.
        labels: Labels, any number of them.
        split: Split, if the row names one.
        is_list: Whether the labels were given as a list, and so are whole.
    """

    line: str
    name: str
    labels: tuple[str, ...]
    split: SplitName | None
    is_list: bool = False

    @property
    def text(self) -> str:
        return "|".join(self.labels)


def _read(
    file: pathlib.Path, table: Table, columns: Columns, files: ListedFiles, separator: str | None
) -> SourceData:
    """The records of all rows.

    Raises:
        DataError: listing the unusable rows, each with its line.
    """
    problems = list(table.wrong)
    trimmed = 0
    rows: list[_Row] = []
    for line, row in table.rows:
        name = str(row.get(columns.path) if row.get(columns.path) is not None else "").strip()
        try:
            split = _split(row, columns)
            labels = _labels_in(row, columns)
        except ValueError as error:
            problems.append((line, str(error)))
            continue
        if not _is_text(name + "".join(labels)):
            problems.append((line, "what stands there is no text"))
        elif not name:
            problems.append((line, f"no {columns.path!r}"))
        else:
            raw = row.get(columns.label)
            trimmed += isinstance(raw, str) and raw != raw.strip()
            rows.append(_Row(str(line), name, labels, split, listed(raw) is not None))
    single = not columns.more and not columns.classes
    is_met = any(separator in label for row in rows for label in row.labels) if separator else True
    if single:
        rows = _divided(rows, separator)
    found, absent, doubled = _unique(rows, files, problems, merge=single)
    sets = bool(columns.classes) or (
        single and (separator is not None or any(len(row.labels) > 1 for row in found.values()))
    )
    missing: dict[int, str] = {}
    if not sets:
        missing = {int(r.line): f"no {columns.label!r}" for r in rows if not r.labels}
        problems = [*(told for told in problems if told[0] not in missing), *missing.items()]
    problems.sort()
    told = [(f"{file}:{line}", text) for line, text in problems]
    hint = ""
    if not sets and missing:
        hint = (
            "If images may have no label, or several, name the sign between labels: source: {manifest: "
            "{path: LIST.csv, separator: '|'}}"
        )
    refuse_rows(told, "rows cannot be used", hint)
    if absent and len(absent) == len(found):
        raise _none_found(file, columns.path, absent, files)
    notes = list(table.notes)
    names = [label for row in found.values() for label in row.labels]
    if single and not sets and not are_measured(names):
        notes += odd_labels([row.text for row in rows])
    if single and not is_met:
        notes.append(f"no label has the separator {separator!r}")
    if single and (sign := seemingly_joined(names)):
        notes.append(
            f"labels such as {next(n for n in names if sign in n)!r} seem to be several, joined by "
            f"{sign!r}; if so, use separator: {sign!r}"
        )
    if trimmed:
        notes.append(f"white space around {trimmed} labels was taken off")
    doubtful = sorted({label for label in names if label.lower() in DOUBTFUL})
    if doubtful:
        notes.append(f"{some_of(doubtful)} is taken for a class")
    records = [
        Record(r.name, r.text, r.split, reader(place), r.labels, f"{file}:{r.line}")
        for place, r in found.items()
    ]
    if absent:
        notes.append(f"{len(absent)} of its {len(found)} files are not there: {some_of(absent)}")
    others = [f"{r.name} {r.read.reason}" for r in records
              if isinstance(r.read, MissingFile) and r.name not in absent]  # fmt: skip
    if others:
        notes.append(f"{len(others)} of its {len(found)} rows name no file: {some_of(others)}")
    if doubled:
        notes.append(f"{doubled} rows name a file that an earlier row names; each is used once")
    if files.moved:
        name, end = files.moved[0]
        notes.append(f"paths of another place are read under {files.base}: {name} as {end}")
    valued = () if columns.classes else (columns.label, *columns.more)
    return SourceData(
        records,
        ignored=_unlisted(found, file, files),
        notes=tuple(notes),
        columns=valued,
        flags=columns.classes,
    )


def _labels_in(row: dict[str, Any], columns: Columns) -> tuple[str, ...]:
    """The labels of a row: the values of its columns, or the names of the columns that are 1.

    Raises:
        ValueError: saying what was found instead.
    """
    if columns.classes:
        flags = {name: label_text(row.get(name)).lower() for name in columns.classes}
        for name, flag in flags.items():
            if flag not in FLAGS:
                raise ValueError(f"{flag!r} in {name!r} is neither 0 nor 1")
        return tuple(name for name, flag in flags.items() if flag in ("1", "true"))
    if columns.more:
        texts = tuple(label_text(row.get(name)) for name in (columns.label, *columns.more))
        for name, text in zip((columns.label, *columns.more), texts, strict=True):
            if not text:
                raise ValueError(f"no {name!r}")
        return texts
    value = row.get(columns.label)
    if isinstance(value, dict):
        raise ValueError(f"{columns.label!r} is an object, not the name of a class: {value}")
    several = listed(value)
    if several is not None:
        return tuple(several)
    text = label_text(value)
    return (text,) if text else ()


def _divided(rows: Sequence[_Row], separator: str | None) -> list[_Row]:
    """The rows with labels such as `cat|red` split, if they mean several labels."""
    joined = [row for row in rows if not row.is_list]
    sign = separator or several_by(label for row in joined for label in row.labels)
    if sign is None:
        return list(rows)
    return [
        row
        if row.is_list
        else dataclasses.replace(
            row,
            labels=tuple(
                dict.fromkeys(part for label in row.labels for part in divided(label, sign))
            ),
        )
        for row in rows
    ]


def _is_text(name: str) -> bool:
    """Whether a name or label is valid text: no zero bytes, no surrogates."""
    return "\0" not in name and not re.search("[\ud800-\udfff]", name)


def _split(row: dict[str, Any], columns: Columns) -> SplitName | None:
    if columns.flags:
        return _flagged(row, columns.flags)
    column = columns.split
    value = row.get(column) if column else None
    if value is None or not str(value).strip():
        return None
    split = split_name(str(value))
    if split is None:
        hint = did_you_mean(str(value), ("train", "val", "test"))
        raise ValueError(f"{value!r} in {column!r} names no split. {hint}")
    return split


def _flagged(row: dict[str, Any], flags: Sequence[tuple[str, SplitName]]) -> SplitName:
    """The split of a row by its yes/no columns; if all say no, the split that remains."""
    said = {split for column, split in flags if _flag(row.get(column))}
    if len(said) > 1:
        raise ValueError(f"is in {' and '.join(sorted(said))} at once")
    if said:
        return said.pop()
    return "test" if all(split == "train" for _, split in flags) else "train"


def _unique(
    rows: Sequence[_Row], files: ListedFiles, problems: list[tuple[int, str]], merge: bool
) -> tuple[dict[str, _Row], list[str], int]:
    """Rows by file, the names of missing files, and the number of repeated rows.

    A row that contradicts an earlier one is added to the problems.

    Args:
        rows: Rows in order.
        files: Finder for the files.
        problems: Problems by line; new ones are appended.
        merge: Whether the labels of several rows of one file are merged; else different labels
            contradict each other.
    """
    found: dict[str, _Row] = {}
    absent: list[str] = []
    doubled = 0
    for row in rows:
        place = files.find(row.name)
        key = os.path.normpath(place or os.path.join(files.base, row.name))
        first = found.get(key)
        if first is None:
            found[key] = row
            if place is None:
                absent.append(row.name)
            continue
        line, split = int(row.line), first.split or row.split
        if None not in (row.split, first.split) and row.split != first.split:
            problems.append(
                (
                    line,
                    f"{row.name} is in {row.split} here and in {first.split} in line {first.line}",
                )
            )
        elif set(row.labels) == set(first.labels) or (
            merge and row.labels and set(row.labels) < set(first.labels)
        ):
            doubled += 1
            found[key] = dataclasses.replace(first, split=split)
        elif not merge or not row.labels or not first.labels:
            here, there = (one.text or "nothing" for one in (row, first))
            problems.append(
                (line, f"{row.name} is {here!r} here and {there!r} in line {first.line}")
            )
        else:
            labels = tuple(dict.fromkeys((*first.labels, *row.labels)))
            found[key] = dataclasses.replace(
                first, line=f"{first.line},{row.line}", labels=labels, split=split
            )
    return found, absent, doubled


def _none_found(
    file: pathlib.Path, column: str, absent: Sequence[str], files: ListedFiles
) -> DataError:
    """The error if no path of a list leads to a file."""
    first = absent[0]
    kind = what_it_is(first)
    here = ListedFiles(pathlib.Path.cwd())
    fits = sum(here.find(name) is not None for name in absent[:LOOKED_AT])
    if fits >= ENOUGH * len(absent[:LOOKED_AT]):
        hint = f"They are there under the folder where you stand. Add: root: {pathlib.Path.cwd()}"
    else:
        hint = "Say with root: which folder they are in; the end of a path is enough there."
    return DataError(
        f"none of its {len(absent)} paths in column {column!r} is a file under {files.base}; the "
        f"first is {first}{', ' + kind if kind else ''}.",
        where=str(file),
        hint=hint,
    )


def _unlisted(
    found: dict[str, Any], file: pathlib.Path, files: ListedFiles
) -> tuple[IgnoredFile, ...]:
    """Unlisted pictures and other files that are reported as ignored.

    If `root` is the list's folder, or one above or below it, these are all such files under
    `root`; else only the unlisted pictures beside listed ones.
    """
    base = files.base
    if files.deep and (base.is_relative_to(file.parent) or file.is_relative_to(base)):
        unlisted = [
            IgnoredFile(name, "is not in the list")
            for name in files.tree.pictures
            if os.path.normpath(files.tree.places[name]) not in found
        ]
        return (*unlisted, *files.tree.ignored)
    ignored = []
    for folder in sorted({os.path.dirname(place) for place in found}):
        try:
            with os.scandir(folder) as entries:
                names = sorted(e.name for e in entries if not e.name.startswith("."))
        except OSError:
            continue
        for name in names:
            place = os.path.join(folder, name)
            picture = os.path.splitext(name)[1].lower() in PICTURE_ENDINGS
            if picture and os.path.normpath(place) not in found:
                where = legible(os.path.relpath(place, base))
                ignored.append(IgnoredFile(where, "is not in the list"))
    return tuple(ignored)
