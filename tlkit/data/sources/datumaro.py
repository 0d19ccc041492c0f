"""Datumaro's JSON."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, built_as, head, read_json, root_of
from tlkit.data.record import SourceData
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register


@register("datumaro")
def datumaro(*, path: str) -> SourceData:
    """Datumaro's format: `annotations/SUBSET.json`, with one label per image, and `images/`.

    Subsets named train, val and test are splits; `default` is not a split.

    Args:
        path: The folder.

    Raises:
        DataError: if there are no such files, or no labels.
    """
    root = root_of(None, expanded(path))
    files = datumaro_files(Tree.of(root))
    if not files:
        raise DataError("holds no JSON of Datumaro's", where=str(root))
    rows = [row for name in files for row in _rows(root, name)]
    if not any(row.labels for row in rows):
        raise DataError(
            "has no labels of whole images; tlkit learns what whole images show.",
            where=str(root),
            hint="Crop each object into an image of its own, in a folder a class.",
        )
    return as_records(rows, root, str(root))


def datumaro_files(tree: Tree) -> list[str]:
    """The annotation files of the subsets."""
    return [
        name for name in tree.files if name.endswith(".json") and _is_datumaro(tree.root / name)
    ]


def _is_datumaro(file: pathlib.Path) -> bool:
    """Whether a file's first kilobytes look like Datumaro's."""
    start = head(file)
    marks = ('"items"', '"label_type"', '"dm_format_version"')
    return start.startswith("{") and '"categories"' in start and any(m in start for m in marks)


def _rows(root: pathlib.Path, name: str) -> Iterator[LabelledRow]:
    file = root / name
    subset = pathlib.PurePosixPath(name).stem
    told = read_json(file)
    with built_as("Datumaro's JSON", file):
        labels = told["categories"].get("label", {}).get("labels", [])
        names = [str(label["name"]) for label in labels]
        rows = []
        for item in told["items"]:
            shown = [names[a["label_id"]] for a in item["annotations"] if a["type"] == "label"]
            image = item.get("image") or item.get("media") or {}
            rows.append((str(image.get("path") or item["id"]), tuple(shown)))
    near = f"images/{subset}"
    for path, own in rows:
        yield LabelledRow(path, own, split_name(subset), str(file), near)
