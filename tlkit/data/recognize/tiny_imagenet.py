"""Tiny ImageNet, as downloaded."""

from __future__ import annotations

import re

from tlkit.data.labelled import head
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.tiny_imagenet import LIST
from tlkit.data.tree import Tree

TRAIN = re.compile(r"(.+/)?train/[^/]+/images/[^/]+")
MOST_WORDS = 3


def tiny_imagenet(tree: Tree) -> RecognizedTool | None:
    lists = tree.called(LIST)
    if not lists or not any(TRAIN.fullmatch(name) for name in tree.pictures):
        return None
    arguments = {"path": str(tree.root)}
    return RecognizedTool(
        "Tiny ImageNet", lists[0], "tiny_imagenet", arguments, sure=True, notes=_words(tree)
    )


def _words(tree: Tree) -> tuple[str, ...]:
    """The names of the data's classes in words."""
    classes = {name.split("/")[-3] for name in tree.pictures if TRAIN.fullmatch(name)}
    for name in tree.called("words.txt"):
        lines = (line.split("\t") for line in head(tree.root / name).splitlines())
        words = [
            f"{cells[0]} {cells[1]}" for cells in lines if cells[0] in classes and len(cells) > 1
        ]
        if words:
            return (
                f"classes are WordNet ids; {name} has their words: {', '.join(words[:MOST_WORDS])}",
            )
    return ()
