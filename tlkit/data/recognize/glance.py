"""Reads the columns and some rows of a file."""

from __future__ import annotations

import pathlib

from tlkit.data.table import read_table
from tlkit.data.tree import Tree
from tlkit.errors import DataError

LISTS = (".csv", ".tsv", ".txt", ".lst", ".jsonl", ".ndjson")
LOOKED_AT = 200  # rows of a list that are read
MOST_LISTS = 20


def lists(tree: Tree) -> list[str]:
    """Lists near the top of a folder."""
    names = [n for n in tree.files if n.lower().endswith(LISTS) and n.count("/") < 3]
    return sorted(names, key=lambda n: (n.count("/"), n))[:MOST_LISTS]


def columns_of(file: pathlib.Path) -> list[str]:
    rows = rows_of(file, 1)
    return list(rows[0]) if rows else []


def rows_of(file: pathlib.Path, most: int = LOOKED_AT) -> list[dict[str, str]]:
    """Some rows of a list; empty if the file is not a list."""
    try:
        rows = read_table(file).sample(most)
    except DataError:
        return []
    return [{key: str(value).strip() for key, value in row.items()} for row in rows]
