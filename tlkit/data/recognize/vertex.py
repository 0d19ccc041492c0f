"""Vertex AI's lists."""

from __future__ import annotations

import pathlib
import re

from tlkit.data.labelled import head
from tlkit.data.recognize.glance import lists
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.tree import Tree


def vertex(tree: Tree) -> RecognizedTool | None:
    for name in lists(tree):
        if is_vertex(tree.root / name):
            arguments = {"path": str(tree.root / name), "root": str(tree.root)}
            return RecognizedTool("a list for Vertex AI", name, "vertex", arguments)
    return None


def is_vertex(file: pathlib.Path) -> bool:
    first = head(file).partition("\n")[0].strip()
    if file.suffix.lower() == ".jsonl":
        return '"imageGcsUri"' in first
    return file.suffix.lower() == ".csv" and re.match(r"([a-z]*,)?gs://", first, re.I) is not None
