"""Recognizes a file that the user gives in place of a folder."""

from __future__ import annotations

import pathlib

from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.data.pointers import refuse_dvc_file
from tlkit.data.recognize.createml import createml
from tlkit.data.recognize.cvat import cvat
from tlkit.data.recognize.glance import LISTS
from tlkit.data.recognize.label_studio import label_studio_file
from tlkit.data.recognize.recognized import RecognizedTool
from tlkit.data.recognize.table import fitting
from tlkit.data.recognize.tfrecord import shards_of
from tlkit.data.recognize.vertex import is_vertex
from tlkit.data.sources.coco import is_coco
from tlkit.data.sources.roboflow import CLASSES
from tlkit.data.sources.tfrecord import is_tfrecord
from tlkit.data.sources.voc import parse_xml
from tlkit.data.tree import Tree
from tlkit.errors import DataError


def recognize_file(file: pathlib.Path) -> RecognizedTool:
    """Recognizes what a file contains.

    Raises:
        DataError: if it cannot be trained on.
    """
    if not file.is_file():
        raise DataError("is neither a file nor a folder", where=str(file))
    refuse_dvc_file(file)
    kind = file.suffix.lower()
    if is_tfrecord(file):
        return RecognizedTool("a TFRecord file", file.name, "tfrecord", {"train": shards_of(file)})
    if kind in PICTURE_ENDINGS:
        raise DataError(
            "is one picture.",
            where=str(file),
            hint="Give the folder with a folder of images a class.",
        )
    folder = Tree(file.parent, {file.name: str(file)})
    if file.name == CLASSES:
        raise DataError(
            "is a table of Roboflow's for one split.",
            where=str(file),
            hint=f"Give the folder: {file.parent}",
        )
    if kind == ".xml":
        found = cvat(folder) if file.name == "annotations.xml" else None
        if found is None and parse_xml(file).tag == "annotations":
            found = RecognizedTool("an export of CVAT", file.name, "cvat", {"path": str(file)})
        if found is None:
            raise DataError("is the XML of one image.", where=str(file), hint="Give the folder.")
        return found
    if kind in (".json", *LISTS) and (found := label_studio_file(file, file.parent)):
        return found
    if kind == ".json":
        if is_coco(file):
            return RecognizedTool("COCO annotations", file.name, "coco", {"path": str(file)})
        createml(folder)
        raise DataError(
            "is JSON of a kind that is not known: expected COCO or Label Studio. A list of images is "
            "JSON lines, .jsonl",
            where=str(file),
        )
    if kind in LISTS:
        if is_vertex(file):
            return RecognizedTool("a list for Vertex AI", file.name, "vertex", {"path": str(file)})
        return _list(file)
    raise DataError(
        "expected a folder of images, an archive of one, a list (.csv, .tsv, .jsonl), annotations of "
        "COCO, CVAT or Label Studio, or a TFRecord file",
        where=str(file),
    )


def _list(file: pathlib.Path) -> RecognizedTool:
    """A list of images; its columns are found by the source, or by words that repeat."""
    plain = RecognizedTool("a list of images", file.name, "manifest", {"path": str(file)})
    try:
        plain.read()
    except DataError:
        found = fitting(Tree.of(file.parent), file.name)
        return found[1] if found is not None else plain
    return plain
