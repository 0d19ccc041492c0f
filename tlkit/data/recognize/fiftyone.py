"""FiftyOne's own format, which is not supported: recognized by its samples.json."""

from __future__ import annotations

from tlkit.data.labelled import head
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.tree import Tree
from tlkit.errors import DataError


def fiftyone(tree: Tree) -> RecognizedTool | None:
    for name in tree.called("samples.json"):
        if '"samples"' in head(tree.root / name):
            what = f"is in FiftyOne's own format ({name})"
            break
    else:
        # FiftyOneImageClassificationDataset: data/ and labels.json
        for name in tree.called("labels.json"):
            start = head(tree.root / name)
            if start.startswith("{") and '"classes"' in start and '"labels"' in start:
                what = f"is FiftyOne's export for image classification ({name})"
                break
        else:
            return None
    raise DataError(
        f"{what}, which tlkit does not read.",
        where=str(tree.root),
        hint="Export it as class folders: dataset.export(export_dir, "
        "dataset_type=fiftyone.types.ImageClassificationDirectoryTree).",
    )
