"""Tiny ImageNet: WordNet ids as classes, and a list for val."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, read_text, root_of
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

LIST = "val_annotations.txt"


@register("tiny_imagenet")
def tiny_imagenet(*, path: str) -> SourceData:
    """Tiny ImageNet, as it is distributed.

    It has `train/n01443537/images/*.JPEG`, `val/images/*.JPEG` and `val/val_annotations.txt`.
    Classes are WordNet ids, as two classes may have the same name in words. The images in test/
    have no labels.

    Args:
        path: The folder, such as `tiny-imagenet-200`.

    Raises:
        DataError: if the list for val is missing, or one of its lines is invalid.
    """
    root = root_of(None, expanded(path))
    tree = Tree.of(root)
    lists = tree.called(LIST)
    if not lists:
        raise DataError(f"holds no {LIST}", where=str(root))
    rows = [*_train(tree), *(row for name in lists for row in _val(root, name))]
    return as_records(rows, root, str(root))


def _train(tree: Tree) -> Iterator[LabelledRow]:
    for name in tree.pictures:
        parts = name.split("/")
        if len(parts) >= 4 and parts[-4] == "train" and parts[-2] == "images":
            yield LabelledRow(name, (parts[-3],), "train", str(tree.root / name))


def _val(root: pathlib.Path, name: str) -> Iterator[LabelledRow]:
    file = root / name
    near = f"{name.rpartition('/')[0]}/images".removeprefix("/")
    for line, text in enumerate(read_text(file).splitlines(), 1):
        cells = text.split("\t")
        if not text.strip():
            continue
        where = f"{file}:{line}"
        if len(cells) < 2:
            raise DataError(
                f"expected an image, a tab and its class; found {text!r:.80}", where=where
            )
        yield LabelledRow(cells[0].strip(), (cells[1].strip(),), "val", where, near)
