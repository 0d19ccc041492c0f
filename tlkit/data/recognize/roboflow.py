"""Roboflow's exports."""

from __future__ import annotations

from tlkit.data.recognize.recognized import CROP, RecognizedTool
from tlkit.data.sources.roboflow import CLASSES
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of


def roboflow(tree: Tree) -> RecognizedTool | None:
    tables = tree.called(CLASSES)
    if not tables:
        return None
    return RecognizedTool(
        "a multi-label export of Roboflow",
        some_of(tables),
        "roboflow",
        {"path": str(tree.root)},
        sure=True,
    )


def roboflow_boxes(tree: Tree) -> RecognizedTool | None:
    tables = tree.called("_annotations.csv") + tree.called("_annotations.createml.json")
    if tables:
        raise DataError(
            f"is an export of Roboflow for object detection ({tables[0]}); tlkit learns what "
            "whole images show.",
            where=str(tree.root),
            hint=CROP,
        )
    return None
