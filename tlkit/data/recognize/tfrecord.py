"""TFRecord files."""

from __future__ import annotations

import pathlib
import re

from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.sources.tfrecord import is_tfrecord
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of


def tfrecord(tree: Tree) -> RecognizedTool | None:
    if tree.pictures:
        return None
    shards = [name for name in tree.files if is_tfrecord(tree.root / name)]
    if not shards:
        return None
    splits: dict[str, list[str]] = {}
    for name in shards:
        words = re.findall(r"[a-z]+", name.lower())
        split = next((split for word in words if (split := split_name(word))), None)
        splits.setdefault(split or "train", []).append(name)
    if "train" not in splits:
        raise DataError(f"holds TFRecord files of {some_of(sorted(splits))} and none to train on")
    arguments = {name: _pattern(tree.root, files) for name, files in splits.items()}
    return RecognizedTool("TFRecord files", some_of(shards, 2), "tfrecord", arguments, sure=True)


def _pattern(root: pathlib.Path, files: list[str]) -> str:
    """What covers all of some files: the folder, or a pattern with their common prefix."""
    if len(files) == 1:
        return str(root / files[0])
    patterns = {
        re.sub(r"\d+(-of-\d+)", r"*\1", re.sub(r"\d+(?=\.\w+$)", "*", name)) for name in files
    }
    if len(patterns) == 1:
        return str(root / patterns.pop())
    start = files[0]
    while not all(name.startswith(start) for name in files):
        start = start[:-1]
    return str(root / f"{start}*")


def shards_of(file: pathlib.Path) -> str:
    """A pattern for all shards, if the file is one of several."""
    found = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(.*)", file.name)
    return (
        str(file) if found is None else str(file.parent / f"{found[1]}-*-of-{found[2]}{found[3]}")
    )
