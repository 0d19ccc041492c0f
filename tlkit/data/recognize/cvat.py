"""CVAT's exports."""

from __future__ import annotations

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.cvat import untagged
from tlkit.data.sources.voc import parse_xml
from tlkit.data.tree import Tree
from tlkit.errors import DataError


def cvat(tree: Tree) -> RecognizedTool | None:
    for name in tree.called("annotations.xml"):
        file = tree.root / name
        told = parse_xml(file)
        if told.tag != "annotations":
            continue
        if next(told.iter("tag"), None) is None:
            raise DataError(f"is an export of CVAT that {untagged(file)}", where=str(file))
        return RecognizedTool("an export of CVAT", name, "cvat", {"path": str(file)})
    return None
