"""Pascal VOC: lists of classes in ImageSets/Main, or one object class in each image's XML."""

from __future__ import annotations

import pathlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from tlkit.data.labelled import LabelledRow, as_records, read_text, root_of, split_of_path
from tlkit.data.record import SourceData, SplitName
from tlkit.data.split_name import split_name
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register


@register("voc")
def voc(*, path: str) -> SourceData:
    """Pascal VOC annotations: the classes shown in an image; boxes are not used.

    Classes are read from `ImageSets/Main/CLASS_train.txt` and similar files (1: the image shows
    the class) if they exist, else from the objects in `Annotations/*.xml` or in XML files beside
    the images. Splits are those of `ImageSets/Main/train.txt`, `val.txt` and `test.txt`, or the
    folders.

    Args:
        path: The folder, such as `VOC2012`.

    Raises:
        DataError: if there are no annotations.
    """
    root = root_of(None, expanded(path))
    tree = Tree.of(root)
    lists = [n for n in tree.files if re.search(r"(^|/)ImageSets/Main/[^/]+\.txt$", n)]
    rows = list(_of_lists(root, lists))
    if not rows:
        splits = _splits(root, lists)
        annotations = [name for name in tree.files if name.lower().endswith(".xml")]
        rows = [row for name in annotations for row in _of_xml(root, name, splits)]
    if not rows:
        raise DataError("holds no annotations of Pascal VOC", where=str(root))
    return as_records(rows, root, str(root))


def _of_lists(root: pathlib.Path, lists: list[str]) -> Iterator[LabelledRow]:
    """Images from lists, one per class."""
    splits = _splits(root, lists)
    for name in lists:
        found = re.fullmatch(r"(.+)_(train|val|trainval|test)", pathlib.PurePosixPath(name).stem)
        if found is None:
            continue
        for line, text in enumerate(read_text(root / name).splitlines(), 1):
            cells = text.split()
            if not cells:
                continue
            where = f"{root / name}:{line}"
            if len(cells) != 2 or cells[1] not in ("-1", "0", "1"):
                raise DataError(f"expected an image and -1, 0 or 1; found {text!r}", where=where)
            labels = (found[1],) if cells[1] == "1" else ()
            split = splits.get(cells[0]) or split_name(found[2])
            # 0: difficult to tell whether it shows the class
            yield LabelledRow(cells[0], labels, split, where, certain=cells[1] != "0")


def _splits(root: pathlib.Path, lists: list[str]) -> dict[str, SplitName]:
    """The split of each image, from train.txt, val.txt and test.txt."""
    splits: dict[str, SplitName] = {}
    for name in lists:
        split = split_name(pathlib.PurePosixPath(name).stem)
        if split:
            for text in read_text(root / name).splitlines():
                if cells := text.split():
                    splits[pathlib.PurePosixPath(cells[0]).stem] = split
    return splits


def _of_xml(root: pathlib.Path, name: str, splits: dict[str, SplitName]) -> Iterator[LabelledRow]:
    """The image of one annotation file; none for other XML files."""
    told = parse_xml(root / name)
    if told.tag != "annotation":
        return
    image = (told.findtext("filename") or "").strip() or pathlib.PurePosixPath(name).stem
    labels = tuple((item.findtext("name") or "").strip() for item in told.iter("object"))
    split = splits.get(pathlib.PurePosixPath(name).stem) or split_of_path(name)
    yield LabelledRow(image, labels, split, str(root / name), name.rpartition("/")[0])


def parse_xml(file: pathlib.Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        DataError: if it is not well-formed, or defines entities, which could expand without limit.
    """
    text = read_text(file)
    if "<!ENTITY" in text:
        raise DataError("defines entities, which no annotation needs", where=str(file))
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DataError(f"is not XML: {error}", where=f"{file}:{line}:{column + 1}") from None
