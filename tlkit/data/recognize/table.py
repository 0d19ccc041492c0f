"""A list of images and classes, as in Kaggle competitions, with columns of any name."""

from __future__ import annotations

import re

from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.data.label_text import is_prose
from tlkit.data.recognize.glance import lists, rows_of
from tlkit.data.recognize.label_studio import label_studio_file
from tlkit.data.recognize.recognized import CROP, RecognizedTool
from tlkit.data.recognize.vertex import is_vertex
from tlkit.data.sources.manifest import LABEL_NAMES, PATH_NAMES, split_flag
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of

FOUND = 0.8  # fraction of a list's paths that must be files
BOX_COLUMNS = {"xmin", "x_min", "bbox", "bboxes", "encodedpixels", "rle", "bbox_x"}


def table(tree: Tree) -> RecognizedTool | None:
    """A list of images and classes, as in Kaggle competitions."""
    best: tuple[float, RecognizedTool] | None = None
    problems: list[DataError] = []
    for name in lists(tree):
        file = tree.root / name
        if is_vertex(file) or label_studio_file(file, tree.root):
            continue  # already checked by functions of their own
        try:
            found = fitting(tree, name)
        except DataError as error:
            problems.append(error)
            continue
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    if best is None and problems and tree.pictures:
        raise problems[0]
    return best[1] if best else None


def fitting(tree: Tree, name: str) -> tuple[float, RecognizedTool] | None:
    """How well a list matches the images, and what it is; None if its paths are not files."""
    file = tree.root / name
    rows = rows_of(file)
    if not rows:
        return None
    columns = list(rows[0])
    scores = {column: _share_found(tree, name, rows, column) for column in columns}
    path_column = max(
        columns, key=lambda c: (scores[c], c.lower() in PATH_NAMES, -columns.index(c))
    )
    if scores[path_column] < FOUND:
        return None
    if {column.lower() for column in columns} & BOX_COLUMNS:
        raise DataError(
            f"lists boxes or masks ({some_of(columns, 8)}); tlkit learns what whole images show.",
            where=str(file),
            hint=CROP,
        )
    others = [c for c in columns if c != path_column and scores[c] < FOUND and not split_flag(c)]
    label_column = _label_column(others, rows)
    flags = label_column is None and _is_flags(others, rows)
    if label_column is None and not flags:
        return None
    arguments = {"path": str(file), "path_column": path_column}
    if label_column is not None:
        arguments["label_column"] = label_column
    # the whole folder if names are enough to find the files, so that every file is accounted for
    roots = _roots(tree, name, rows, path_column)
    bare = not any(re.search(r"[/\\]", row.get(path_column) or "") for row in rows)
    arguments["root"] = str(tree.root if bare or len(roots) != 1 else tree.root / roots.pop())
    left = [] if flags else [other for other in others if other != label_column]
    notes = (f"other columns of {name}: {some_of(left, 5)}",) if left else ()
    # of several lists, skip the one to be filled in, and prefer the one for training
    score = scores[path_column] - ("submission" in name.lower()) - 0.5 * ("test" in name.lower())
    score += 0.1 * ("train" in name.lower())
    what = "images with a list of their classes"
    where = f"classes in {label_column!r}" if label_column else "a column of 0 and 1 for each class"
    seen = f"{name}: paths in {path_column!r}, {where}"
    return score, RecognizedTool(what, seen, "manifest", arguments, notes=notes)


def _share_found(tree: Tree, name: str, rows: list[dict[str, str]], column: str) -> float:
    values = [row.get(column) or "" for row in rows[:50]]
    near = name.rpartition("/")[0]
    return sum(bool(value) and _place(tree, value, near) is not None for value in values) / len(
        values
    )


def _place(tree: Tree, value: str, near: str) -> str | None:
    try:
        found = tree.find(value, near)
    except (OSError, ValueError):
        return None
    return found if "." + found.rpartition(".")[2].lower() in PICTURE_ENDINGS else None


def _roots(tree: Tree, name: str, rows: list[dict[str, str]], column: str) -> set[str]:
    """The folders that the paths of a list may be relative to."""
    near = name.rpartition("/")[0]
    found = set()
    for row in rows:
        value = (row.get(column) or "").replace("\\", "/")
        place = _place(tree, value, near)
        if place is not None:
            depth = value.count("/") + 1
            found.add("/".join(place.split("/")[:-depth]))
    return found


def _label_column(columns: list[str], rows: list[dict[str, str]]) -> str | None:
    for usual in LABEL_NAMES:
        for column in columns:
            if column.lower() == usual:
                return column
    if _is_flags(columns, rows):
        return None
    # a column of words that repeat
    fitting = []
    for column in columns:
        values = [row.get(column) or "" for row in rows]
        kinds = len(set(values))
        if 2 <= kinds <= max(2, len(values) // 2) and all(values) and not split_name(values[0]):
            words = not any(re.fullmatch(r"-?\d+\.\d+", value) for value in values)
            if words and not is_prose(values):
                fitting.append(column)
    return fitting[0] if fitting else None


def _is_flags(columns: list[str], rows: list[dict[str, str]]) -> bool:
    return len(columns) > 1 and all(
        re.fullmatch(r"[01](\.0*)?|true|false", row.get(column) or "", re.IGNORECASE)
        for column in columns
        for row in rows
    )
