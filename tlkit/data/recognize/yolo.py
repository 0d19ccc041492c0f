"""YOLO's boxes."""

from __future__ import annotations

import re

from tlkit.data.recognize.recognized import CROP, Recognized
from tlkit.data.tree import Tree
from tlkit.errors import DataError


def yolo(tree: Tree) -> Recognized | None:
    settings = list(tree.called("data.yaml") + tree.called("dataset.yaml"))
    labels = [n for n in tree.files if re.search(r"(^|/)labels/.*\.txt$", n)]
    if not labels or not (settings or tree.called("classes.txt") or tree.called("notes.json")):
        return None
    raise DataError(
        f"is in YOLO's format for object detection ({labels[0]}); tlkit trains one class an image.",
        where=str(tree.root),
        hint=CROP,
    )
