"""YOLO's boxes: one text file per image, of the same name, in labels/ or beside it."""

from __future__ import annotations

import os
import re

from tlkit.data.labelled import head
from tlkit.data.recognize.recognized import CROP, RecognizedTool
from tlkit.data.tree import Tree
from tlkit.errors import DataError

# class, then the box in fractions of the image, or the corners of a polygon, or keypoints
LINE = re.compile(r"\d+( +-?(\d+\.?\d*|\.\d+)([eE]-?\d+)?){4,}\s*")
LOOKED_AT = 20


def yolo(tree: Tree) -> RecognizedTool | None:
    texts = [n for n in tree.files if n.lower().endswith(".txt")]
    named = [n for n in texts if os.path.splitext(os.path.basename(n))[0].lower() in tree.by_stem]
    filled = [start for n in named[:LOOKED_AT] if (start := head(tree.root / n).strip())]
    boxes = filled and all(LINE.fullmatch(start.partition("\n")[0]) for start in filled)
    if not boxes:
        return None
    raise DataError(
        f"is in YOLO's format for object detection ({named[0]}); tlkit learns what whole images show.",
        where=str(tree.root),
        hint=CROP,
    )
