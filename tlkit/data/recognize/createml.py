"""Create ML's and LabelMe's JSON: only distinguished, as neither is supported."""

from __future__ import annotations

from tlkit.data.labelled import head
from tlkit.data.recognize.glance import MOST_LISTS
from tlkit.data.recognize.recognized import CROP, RecognizedTool
from tlkit.data.tree import Tree
from tlkit.errors import DataError


def createml(tree: Tree) -> RecognizedTool | None:
    """Create ML and LabelMe: only distinguished, as neither is supported."""
    for name in [name for name in tree.files if name.lower().endswith(".json")][:MOST_LISTS]:
        start = head(tree.root / name)
        if '"shapes"' in start and '"imagePath"' in start:
            raise DataError(
                f"is labelled with LabelMe ({name}), whose polygons are for segmentation.",
                where=str(tree.root),
                hint=CROP,
            )
        if '"image"' in start and '"annotations"' in start and '"coordinates"' in start:
            raise DataError(
                f"is in Create ML's format ({name}), for object detection; tlkit learns what "
                "whole images show.",
                where=str(tree.root),
                hint=CROP,
            )
    return None
