"""Hugging Face's imagefolder."""

from __future__ import annotations

from tlkit.data.label_text import MOST_ALONE, is_prose
from tlkit.data.recognize.glance import columns_of, rows_of
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.imagefolder import FILE_NAMES, LABELS, METADATA
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of


def imagefolder(tree: Tree) -> RecognizedTool | None:
    files = [name for kind in METADATA for name in tree.called(kind)]
    kept = [name for name in files if set(columns_of(tree.root / name)) & set(FILE_NAMES)]
    if not kept:
        return None
    columns = columns_of(tree.root / kept[0])
    arguments = {"path": str(tree.root)}
    if not any(column.lower() in LABELS for column in columns):
        others = [column for column in columns if column not in FILE_NAMES]
        values = [row.get(others[0], "") for row in rows_of(tree.root / kept[0])] if others else []
        if len(others) != 1 or is_prose(values) or MOST_ALONE < len(values) == len(set(values)):
            raise DataError(
                f"is an imagefolder of Hugging Face, but no column of {kept[0]} is called as classes are: "
                f"{', '.join(columns)}.",
                where=str(tree.root),
                hint="Name it: tlkit init " + str(tree.root) + " label_column=...",
            )
        arguments["label_column"] = others[0]
    return RecognizedTool("an imagefolder of Hugging Face", some_of(kept), "imagefolder", arguments)
