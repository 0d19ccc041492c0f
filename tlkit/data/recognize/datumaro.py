"""Datumaro's exports."""

from __future__ import annotations

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.datumaro import datumaro_files
from tlkit.data.tree import Tree
from tlkit.errors import some_of


def datumaro(tree: Tree) -> RecognizedTool | None:
    files = datumaro_files(tree)
    if not files:
        return None
    arguments = {"path": str(tree.root)}
    return RecognizedTool("an export of Datumaro", some_of(files), "datumaro", arguments, sure=True)
