"""TensorFlow Datasets' prepared data."""

from __future__ import annotations

import json

from tlkit.data.labelled import read_text
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.tree import Tree


def tfds(tree: Tree) -> RecognizedTool | None:
    infos = [name for name in tree.files if name.rpartition("/")[2] == "dataset_info.json"]
    if not infos or tree.pictures:
        return None
    folder = tree.root / infos[-1]
    name = str(json.loads(read_text(folder)).get("name", tree.root.name))
    return RecognizedTool(
        "a data set prepared by TensorFlow Datasets",
        infos[-1],
        "tfds",
        {"name": name, "data_dir": str(folder.parent)},
        sure=True,
    )
