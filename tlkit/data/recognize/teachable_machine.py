"""Teachable Machine's projects."""

from __future__ import annotations

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.tree import Tree


def teachable_machine(tree: Tree) -> RecognizedTool | None:
    """A Teachable Machine project with all its samples in one folder."""
    if not tree.called("manifest.json") or not tree.pictures:
        return None
    if not all("-!-" in name for name in tree.pictures):
        return None
    return RecognizedTool(
        "a project of Teachable Machine",
        tree.pictures[0],
        "teachable_machine",
        {"path": str(tree.root)},
        sure=True,
    )
