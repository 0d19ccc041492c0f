"""Teachable Machine's projects."""

from __future__ import annotations

from tlkit.data.recognize.recognized import Recognized
from tlkit.data.tree import Tree


def teachable_machine(tree: Tree) -> Recognized | None:
    """A project of Teachable Machine that keeps its samples side by side."""
    if not tree.called("manifest.json") or not tree.pictures:
        return None
    if not all("-!-" in name for name in tree.pictures):
        return None
    return Recognized(
        "a project of Teachable Machine",
        tree.pictures[0],
        "teachable_machine",
        {"path": str(tree.root)},
        sure=True,
    )
