"""Recognizes folders, and whether class folders take precedence over a tool's files."""

from __future__ import annotations

import dataclasses
import pathlib

from tlkit.data.pointers import refuse_pointers
from tlkit.data.recognize.recognized import RecognizedTool, not_as_such
from tlkit.data.recognize.tools import SURE, TOOLS
from tlkit.data.split_name import splits_named
from tlkit.data.tree import Tree
from tlkit.errors import DataError

AGREE = 0.9  # least fraction of images labelled like their folder for folders to be enough


def recognize_folder(root: pathlib.Path) -> RecognizedTool:
    """Recognizes what a folder contains.

    Raises:
        DataError: if it cannot be trained on.
    """
    tree = Tree.of(root)
    refuse_pointers(tree)
    folders = has_class_folders(tree)
    beside: list[str] = []
    for tool in TOOLS:
        try:
            found = tool(tree)
            if found is not None and folders and not found.sure:
                why = _why_folders_do(found, tree)
                if why:
                    beside.append(why)
                    continue
        except DataError as error:
            if not folders:
                raise
            beside.append(f"not used: {error}")
            continue
        if found is not None:
            return dataclasses.replace(found, notes=(*found.notes, *beside))
    export = " exported by Roboflow" if tree.called("README.roboflow.txt") else ""
    return RecognizedTool(
        f"class folders{export}",
        "folders with images in them",
        "folder",
        {"path": str(root)},
        notes=tuple(beside),
    )


def refuse_other_source(root: pathlib.Path) -> None:
    """Rejects a folder written by a labelling tool that would be misread as class folders.

    Raises:
        DataError: naming the source that reads it.
    """
    tree = Tree.of(root)
    refuse_pointers(tree)
    folders = has_class_folders(tree)
    for tool in SURE if folders else TOOLS:
        try:
            found = tool(tree)
        except DataError:
            if folders:  # a file of another kind beside class folders
                continue
            raise
        if found is not None and (found.sure or not folders):
            raise not_as_such(found, root)


def has_class_folders(tree: Tree) -> bool:
    """Whether two or more folders that are not named like splits contain pictures."""
    paths = [path.split("/") for path in tree.pictures]
    while paths:
        tops = {parts[0] for parts in paths if len(parts) > 1}
        if len(tops) == 1 and all(len(parts) > 1 for parts in paths):
            paths = [parts[1:] for parts in paths]
        elif tops and all(splits_named(top) for top in tops):
            paths = [parts[1:] for parts in paths if len(parts) > 1]
            return len({parts[0] for parts in paths if len(parts) > 1}) > 1
        else:
            return len(tops) > 1
    return False


def _why_folders_do(found: RecognizedTool, tree: Tree) -> str:
    """Why class folders are read rather than the file beside them; empty if the file says more."""
    records = found.read().records
    if 2 * len(records) < len(tree.pictures) and found.source == "manifest":
        return f"{found.evidence}: names {len(records)} of the {len(tree.pictures)} pictures and is not used"
    if any(record.split for record in records):
        return ""
    same = sum(record.label in record.name.split("/")[:-1] for record in records)
    if same >= AGREE * len(records) and 2 * len(records) >= len(tree.pictures):
        return f"{found.what} beside it says the same as the folders and is not used"
    return ""
