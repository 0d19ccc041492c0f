"""COCO's annotations."""

from __future__ import annotations

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.coco import json_files
from tlkit.data.tree import Tree
from tlkit.errors import some_of


def coco(tree: Tree) -> RecognizedTool | None:
    files = json_files(tree.root)
    if not files:
        return None
    names = [file.relative_to(tree.root).as_posix() for file in files]
    arguments = {"path": str(tree.root if len(files) > 1 else files[0])}
    if len(files) == 1 and "/" in names[0]:
        arguments["root"] = str(tree.root)
    return RecognizedTool("COCO annotations", some_of(names), "coco", arguments)
