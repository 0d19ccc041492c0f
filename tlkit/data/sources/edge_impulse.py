"""Edge Impulse's export: training/ and testing/ with info.labels."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, built_as, read_json, root_of
from tlkit.data.record import SourceData
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

INFO = "info.labels"
BOXES = "bounding_boxes.labels"


@register("edge_impulse")
def edge_impulse(*, path: str) -> SourceData:
    """Edge Impulse's exported images: `info.labels`, or names like `training/cat.1a2b3c4d.jpg`.

    Its testing images are the test split; tlkit holds val out of the training images.

    Args:
        path: The folder with training/ and testing/.

    Raises:
        DataError: if it is for object detection, or has no labels.
    """
    root = root_of(None, expanded(path))
    tree = Tree.of(root)
    infos = tree.called(INFO)
    if infos:
        rows = [row for name in infos for row in _of_info(root / name, name.rpartition("/")[0])]
    else:
        rows = list(_of_names(tree))
    if not any(row.labels for row in rows) and tree.called(BOXES):
        raise DataError(
            f"has boxes ({BOXES}), for object detection; tlkit learns what whole images show.",
            where=str(root),
            hint="Crop each object into an image of its own.",
        )
    return as_records(rows, root, str(root))


def _of_info(file: pathlib.Path, near: str) -> Iterator[LabelledRow]:
    told = read_json(file)
    with built_as("Edge Impulse's", file):
        for entry in told["files"]:
            label = entry.get("label") or {}
            name = label.get("label") if isinstance(label, dict) else label
            if isinstance(label, dict) and label.get("type", "label") != "label":
                name = None  # unlabeled, or multi-label over time
            if entry.get("enabled", True):
                yield LabelledRow(
                    str(entry.get("path") or entry["name"]),
                    (str(name),) if name else (),
                    split_name(str(entry.get("category", ""))),
                    str(file),
                    near,
                )


def _of_names(tree: Tree) -> Iterator[LabelledRow]:
    """Images named like `training/label.hash.jpg`."""
    for name in tree.pictures:
        folder, _, file = name.rpartition("/")
        split = split_name(folder.rpartition("/")[2])
        parts = file.split(".")
        if split and len(parts) >= 3:
            yield LabelledRow(name, (parts[0],), split, str(tree.root / name))
