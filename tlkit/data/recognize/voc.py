"""Pascal VOC's annotations."""

from __future__ import annotations

import re

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.voc import parse_xml
from tlkit.data.tree import Tree
from tlkit.errors import some_of


def voc(tree: Tree) -> RecognizedTool | None:
    xml = [name for name in tree.files if name.lower().endswith(".xml")]
    annotation = next((n for n in xml[:20] if parse_xml(tree.root / n).tag == "annotation"), None)
    lists = [n for n in tree.files if re.search(r"(^|/)ImageSets/Main/.+_(train|val)\.txt$", n)]
    if annotation is None and not lists:
        return None
    sure = any("JPEGImages/" in name for name in tree.pictures)
    seen = some_of((lists or [str(annotation)]), 2)
    return RecognizedTool(
        "Pascal VOC annotations", seen, "voc", {"path": str(tree.root)}, sure=sure
    )
