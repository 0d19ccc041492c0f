"""Label Studio's exports."""

from __future__ import annotations

import pathlib
import re

from tlkit.data.labelled import head
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.tree import Tree


def label_studio(tree: Tree) -> RecognizedTool | None:
    for name in tree.files:
        if name.count("/") < 2 and name.lower().endswith((".json", ".csv", ".tsv")):
            found = label_studio_file(tree.root / name, tree.root)
            if found is not None:
                return found
    return None


def label_studio_file(file: pathlib.Path, root: pathlib.Path) -> RecognizedTool | None:
    start = head(file)
    if file.suffix.lower() == ".json":
        tasks = start.startswith("[") and (
            ('"annotations"' in start and ('"data"' in start or '"result"' in start))
            or '"annotation_id"' in start
        )
    else:
        tasks = "annotation_id" in re.split(r"[,\t]", start.partition("\n")[0].strip())
    if not tasks:
        return None
    arguments = {"path": str(file)}
    if file.parent != root:
        arguments["root"] = str(root)
    return RecognizedTool("an export of Label Studio", file.name, "label_studio", arguments)
