"""Edge Impulse's exports."""

from __future__ import annotations

import re

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.edge_impulse import BOXES, INFO
from tlkit.data.tree import Tree


def edge_impulse(tree: Tree) -> RecognizedTool | None:
    infos = tree.called(INFO) + tree.called(BOXES)
    named = "" if infos else edge_impulse_names(tree)
    if not infos and not named:
        return None
    return RecognizedTool(
        "an export of Edge Impulse",
        infos[0] if infos else named,
        "edge_impulse",
        {"path": str(tree.root)},
        sure=True,
    )


def edge_impulse_names(tree: Tree) -> str:
    """A picture named like `training/label.hash.jpg`, if all are."""
    if not tree.pictures or {path.partition("/")[0] for path in tree.pictures} - {
        "training",
        "testing",
    }:
        return ""
    hashed = re.compile(r"[^/]+/[^/]+\.[0-9a-z]{6,12}(\.[^/]*)?\.\w+")
    return tree.pictures[0] if all(hashed.fullmatch(path) for path in tree.pictures) else ""
