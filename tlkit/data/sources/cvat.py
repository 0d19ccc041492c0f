"""CVAT for images: XML with one tag per image."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, root_of
from tlkit.data.record import SourceData
from tlkit.data.sources.voc import parse_xml
from tlkit.data.split_name import split_name
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

SHAPES = ("box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")


@register("cvat")
def cvat(*, path: str, root: str | None = None) -> SourceData:
    """CVAT's "CVAT for images" XML: one tag per image.

    Args:
        path: The XML file, or the folder with `annotations.xml`.
        root: Folder of the images; by default the folder of the file.

    Raises:
        DataError: if it has shapes and no tags.
    """
    file = expanded(path)
    if file.is_dir():
        file /= "annotations.xml"
    if not file.is_file():
        raise DataError("no such file", where=str(file))
    base = root_of(root, file.parent)
    rows = list(_rows(file))
    if not any(row.labels for row in rows):
        raise DataError(untagged(file), where=str(file))
    return as_records(rows, base, str(file))


def untagged(file: pathlib.Path) -> str:
    """The problem of a file that has no tags."""
    told = parse_xml(file)
    shapes = sum(1 for image in told.iter("image") for item in image if item.tag in SHAPES)
    tracks = sum(1 for _ in told.iter("track"))
    if tracks:
        return f"is CVAT for video, with {tracks} tracks of objects; expected tags of images"
    if shapes:
        return (
            f"has {shapes} shapes and no tags: it is for object detection or segmentation, and tlkit "
            "learns what whole images show. Crop each object into an image of its own, or tag the images"
        )
    return "has no image with a tag"


def _rows(file: pathlib.Path) -> Iterator[LabelledRow]:
    told = parse_xml(file)
    if told.tag != "annotations":
        raise DataError(
            f"is not CVAT's XML: expected <annotations>, found <{told.tag}>", where=str(file)
        )
    for image in told.iter("image"):
        labels = tuple(tag.get("label", "") for tag in image.iter("tag"))
        split = split_name(image.get("subset", ""))
        yield LabelledRow(image.get("name", ""), labels, split, str(file))
