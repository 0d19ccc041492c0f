"""Tiny ImageNet: WordNet ids as classes, and val by a list."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import Labelled, as_records, read_text, root_of
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

LIST = "val_annotations.txt"


@register("tiny_imagenet")
def tiny_imagenet(*, path: str) -> SourceData:
    """Tiny ImageNet: `train/n01443537/images/*.JPEG`, `val/images/*.JPEG` and `val/val_annotations.txt`.

    Classes are WordNet ids, as two of its classes may be called by the same words. The images of
    test/ have no labels.

    Args:
        path: The folder, as `tiny-imagenet-200`.

    Raises:
        DataError: if the list of val is missing, or a line of it is not as it should be.
    """
    root = root_of(None, expanded(path))
    tree = Tree.of(root)
    lists = tree.called(LIST)
    if not lists:
        raise DataError(f"holds no {LIST}", where=str(root))
    rows = [*_train(tree), *(row for name in lists for row in _val(root, name))]
    return as_records(rows, root, str(root))


def _train(tree: Tree) -> Iterator[Labelled]:
    for name in tree.pictures:
        parts = name.split("/")
        if len(parts) >= 4 and parts[-4] == "train" and parts[-2] == "images":
            yield Labelled(name, (parts[-3],), "train", str(tree.root / name))


def _val(root: pathlib.Path, name: str) -> Iterator[Labelled]:
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
        yield Labelled(cells[0].strip(), (cells[1].strip(),), "val", where, near)
