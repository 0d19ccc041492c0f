"""What a person's data are: which tool or site wrote them, and the source that reads them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable

from tlkit import registry
from tlkit.data.file_kind import PICTURE_ENDINGS
from tlkit.data.labelled import read_text
from tlkit.data.pointers import refuse_dvc_file, refuse_pointers
from tlkit.data.record import SourceData
from tlkit.data.sources.coco import is_coco, json_files
from tlkit.data.sources.cvat import untagged
from tlkit.data.sources.edge_impulse import BOXES, INFO
from tlkit.data.sources.imagefolder import FILE_NAMES, LABELS, METADATA
from tlkit.data.sources.manifest import LABEL_NAMES, PATH_NAMES
from tlkit.data.sources.roboflow import CLASSES
from tlkit.data.sources.tfrecord import is_tfrecord
from tlkit.data.sources.voc import parse_xml
from tlkit.data.split_name import split_name, splits_named
from tlkit.data.table import read_table
from tlkit.data.tree import Tree
from tlkit.errors import DataError, some_of

LISTS = (".csv", ".tsv", ".txt", ".lst", ".jsonl", ".ndjson")
LOOKED_AT = 200  # rows of a list
MOST_LISTS = 20
FOUND = 0.8  # share of a list's paths that must be files
AGREE = 0.9  # share of images labelled as their folder is called, from which folders are enough
CAPTIONS = 10  # values of a column that are all different, from which they are no classes
BOX_COLUMNS = {"xmin", "x_min", "bbox", "bboxes", "encodedpixels", "rle", "bbox_x"}
CROP = "Crop each object into an image of its own, in a folder a class."


@dataclasses.dataclass(frozen=True)
class Recognized:
    """What was recognised.

    Attributes:
        what: As a person calls it.
        evidence: What it was seen by.
        source: Name of the data source that reads it.
        arguments: Of that source, those that are not its defaults.
        sure: Whether class folders beside it change nothing.
        notes: What a person should know.
    """

    what: str
    evidence: str
    source: str
    arguments: dict[str, str]
    sure: bool = False
    notes: tuple[str, ...] = ()

    def read(self) -> SourceData:
        """The records of that source."""
        entry = registry.SOURCES[self.source]
        arguments = entry.arguments(**self.arguments).model_dump()
        data: SourceData = registry.SOURCES.build(self.source, **arguments)
        return data


def recognize(path: pathlib.Path) -> Recognized:
    """What a folder or file holds, by its content.

    Args:
        path: Of a folder or file that is there; archives are unpacked before.

    Raises:
        DataError: if it is nothing that can be trained on, saying what it is.
    """
    return recognize_folder(path) if path.is_dir() else recognize_file(path)


def recognize_folder(root: pathlib.Path) -> Recognized:
    """What a folder holds.

    Raises:
        DataError: if it is nothing that can be trained on.
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
    return Recognized(
        f"class folders{export}",
        "folders with images in them",
        "folder",
        {"path": str(root)},
        notes=tuple(beside),
    )


def refuse_other_source(root: pathlib.Path) -> None:
    """Refuses a folder that a labelling tool wrote and that, read as class folders, would be misread.

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
            if folders:  # a file of another kind, beside class folders
                continue
            raise
        if found is not None and (found.sure or not folders):
            raise not_as_such(found, root)


def not_as_such(found: Recognized, place: pathlib.Path) -> DataError:
    """What to say where a tool's data are given to another source."""
    given = ", ".join(f"{key}: {value}" for key, value in found.arguments.items())
    return DataError(
        f"is {found.what} ({found.evidence}).",
        where=str(place),
        hint=f"Use data.source: {{{found.source}: {{{given}}}}}, which tlkit init {place} writes.",
    )


def has_class_folders(tree: Tree) -> bool:
    """Whether two folders or more, that are not named like splits, hold pictures."""
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


def _why_folders_do(found: Recognized, tree: Tree) -> str:
    """Why class folders are read and not what lies beside them; nothing where that says more."""
    records = found.read().records
    if 2 * len(records) < len(tree.pictures) and found.source == "manifest":
        return f"{found.evidence}: names {len(records)} of the {len(tree.pictures)} pictures and is not used"
    if any(record.split for record in records):
        return ""
    same = sum(record.label in record.name.split("/")[:-1] for record in records)
    if same >= AGREE * len(records) and 2 * len(records) >= len(tree.pictures):
        return f"{found.what} beside it says the same as the folders and is not used"
    return ""


# one function for each tool: what it wrote, or None


def _tfds(tree: Tree) -> Recognized | None:
    infos = [name for name in tree.files if name.rpartition("/")[2] == "dataset_info.json"]
    if not infos or tree.pictures:
        return None
    folder = tree.root / infos[-1]
    name = str(json.loads(read_text(folder)).get("name", tree.root.name))
    return Recognized(
        "a data set prepared by TensorFlow Datasets",
        infos[-1],
        "tfds",
        {"name": name, "data_dir": str(folder.parent)},
        sure=True,
    )


def _tfrecord(tree: Tree) -> Recognized | None:
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
    return Recognized("TFRecord files", some_of(shards, 2), "tfrecord", arguments, sure=True)


def _pattern(root: pathlib.Path, files: list[str]) -> str:
    """What names all of some files: the folder, or a pattern with their common start."""
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


def _roboflow(tree: Tree) -> Recognized | None:
    tables = tree.called(CLASSES)
    if not tables:
        return None
    return Recognized(
        "a multi-label export of Roboflow",
        some_of(tables),
        "roboflow",
        {"path": str(tree.root)},
        sure=True,
    )


def _roboflow_boxes(tree: Tree) -> Recognized | None:
    tables = tree.called("_annotations.csv") + tree.called("_annotations.createml.json")
    if tables:
        raise DataError(
            f"is an export of Roboflow for object detection ({tables[0]}); tlkit trains one class "
            "an image.",
            where=str(tree.root),
            hint=CROP,
        )
    return None


def _edge_impulse(tree: Tree) -> Recognized | None:
    infos = tree.called(INFO) + tree.called(BOXES)
    named = "" if infos else _edge_impulse_names(tree)
    if not infos and not named:
        return None
    return Recognized(
        "an export of Edge Impulse",
        infos[0] if infos else named,
        "edge_impulse",
        {"path": str(tree.root)},
        sure=True,
    )


def _edge_impulse_names(tree: Tree) -> str:
    """A picture named `training/label.hash.jpg`, where all are."""
    if not tree.pictures or {path.partition("/")[0] for path in tree.pictures} - {
        "training",
        "testing",
    }:
        return ""
    hashed = re.compile(r"[^/]+/[^/]+\.[0-9a-z]{6,12}(\.[^/]*)?\.\w+")
    return tree.pictures[0] if all(hashed.fullmatch(path) for path in tree.pictures) else ""


def _coco(tree: Tree) -> Recognized | None:
    files = json_files(tree.root)
    if not files:
        return None
    names = [file.relative_to(tree.root).as_posix() for file in files]
    arguments = {"path": str(tree.root if len(files) > 1 else files[0])}
    if len(files) == 1 and "/" in names[0]:
        arguments["root"] = str(tree.root)
    return Recognized("COCO annotations", some_of(names), "coco", arguments)


def _cvat(tree: Tree) -> Recognized | None:
    for name in tree.called("annotations.xml"):
        file = tree.root / name
        told = parse_xml(file)
        if told.tag != "annotations":
            continue
        if next(told.iter("tag"), None) is None:
            raise DataError(f"is an export of CVAT that {untagged(file)}", where=str(file))
        return Recognized("an export of CVAT", name, "cvat", {"path": str(file)})
    return None


def _voc(tree: Tree) -> Recognized | None:
    xml = [name for name in tree.files if name.lower().endswith(".xml")]
    annotation = next((n for n in xml[:20] if parse_xml(tree.root / n).tag == "annotation"), None)
    lists = [n for n in tree.files if re.search(r"(^|/)ImageSets/Main/.+_(train|val)\.txt$", n)]
    if annotation is None and not lists:
        return None
    sure = any("JPEGImages/" in name for name in tree.pictures)
    seen = some_of((lists or [str(annotation)]), 2)
    return Recognized("Pascal VOC annotations", seen, "voc", {"path": str(tree.root)}, sure=sure)


def _label_studio(tree: Tree) -> Recognized | None:
    for name in tree.files:
        if name.count("/") < 2 and name.lower().endswith((".json", ".csv", ".tsv")):
            found = _label_studio_file(tree.root / name, tree.root)
            if found is not None:
                return found
    return None


def _label_studio_file(file: pathlib.Path, root: pathlib.Path) -> Recognized | None:
    head = _head(file)
    if file.suffix.lower() == ".json":
        tasks = head.startswith("[") and (
            ('"annotations"' in head and ('"data"' in head or '"result"' in head))
            or '"annotation_id"' in head
        )
    else:
        tasks = "annotation_id" in re.split(r"[,\t]", head.partition("\n")[0].strip())
    if not tasks:
        return None
    arguments = {"path": str(file)}
    if file.parent != root:
        arguments["root"] = str(root)
    return Recognized("an export of Label Studio", file.name, "label_studio", arguments)


def _createml(tree: Tree) -> Recognized | None:
    """Create ML and LabelMe: only told from one another, as neither is read."""
    for name in [name for name in tree.files if name.lower().endswith(".json")][:MOST_LISTS]:
        head = _head(tree.root / name)
        if '"shapes"' in head and '"imagePath"' in head:
            raise DataError(
                f"is labelled with LabelMe ({name}), whose polygons are for segmentation.",
                where=str(tree.root),
                hint=CROP,
            )
        if '"image"' in head and '"annotations"' in head and '"coordinates"' in head:
            raise DataError(
                f"is in Create ML's format ({name}), for object detection; tlkit trains one class an "
                "image.",
                where=str(tree.root),
                hint=CROP,
            )
    return None


def _yolo(tree: Tree) -> Recognized | None:
    settings = list(tree.called("data.yaml") + tree.called("dataset.yaml"))
    labels = [n for n in tree.files if re.search(r"(^|/)labels/.*\.txt$", n)]
    if not labels or not (settings or tree.called("classes.txt") or tree.called("notes.json")):
        return None
    raise DataError(
        f"is in YOLO's format for object detection ({labels[0]}); tlkit trains one class an image.",
        where=str(tree.root),
        hint=CROP,
    )


def _teachable_machine(tree: Tree) -> Recognized | None:
    """A project of Teachable Machine that keeps its samples side by side."""
    if not tree.called("manifest.json") or not tree.pictures:
        return None
    if not all("-!-" in name for name in tree.pictures):
        return None
    return Recognized(
        "a project of Teachable Machine",
        tree.pictures[0],
        "teachable_machine",
        {"path": str(tree.root)},
        sure=True,
    )


def _imagefolder(tree: Tree) -> Recognized | None:
    files = [name for kind in METADATA for name in tree.called(kind)]
    kept = [name for name in files if set(_columns(tree.root / name)) & set(FILE_NAMES)]
    if not kept:
        return None
    columns = _columns(tree.root / kept[0])
    arguments = {"path": str(tree.root)}
    if not any(column.lower() in LABELS for column in columns):
        others = [column for column in columns if column not in FILE_NAMES]
        values = [row.get(others[0], "") for row in _rows(tree.root / kept[0])] if others else []
        if len(others) != 1 or CAPTIONS <= len(values) == len(set(values)):
            raise DataError(
                f"is an imagefolder of Hugging Face, but no column of {kept[0]} is called as classes are: "
                f"{', '.join(columns)}.",
                where=str(tree.root),
                hint="Name it: tlkit init " + str(tree.root) + " label_column=...",
            )
        arguments["label_column"] = others[0]
    return Recognized("an imagefolder of Hugging Face", some_of(kept), "imagefolder", arguments)


def _vertex(tree: Tree) -> Recognized | None:
    for name in _lists(tree):
        if _is_vertex(tree.root / name):
            arguments = {"path": str(tree.root / name), "root": str(tree.root)}
            return Recognized("a list for Vertex AI", name, "vertex", arguments)
    return None


def _is_vertex(file: pathlib.Path) -> bool:
    first = _head(file).partition("\n")[0].strip()
    if file.suffix.lower() == ".jsonl":
        return '"imageGcsUri"' in first
    return file.suffix.lower() == ".csv" and re.match(r"([a-z]*,)?gs://", first, re.I) is not None


def _head(file: pathlib.Path) -> str:
    """The first characters of a text file; none where it cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read(65536).decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    except OSError:
        return ""


def _table(tree: Tree) -> Recognized | None:
    """A list of images and classes, as Kaggle's competitions have."""
    best: tuple[float, Recognized] | None = None
    problems: list[DataError] = []
    for name in _lists(tree):
        file = tree.root / name
        if _is_vertex(file) or _label_studio_file(file, tree.root):
            continue  # looked at before, by a function of their own
        try:
            found = _fitting(tree, name)
        except DataError as error:
            problems.append(error)
            continue
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    if best is None and problems and tree.pictures:
        raise problems[0]
    return best[1] if best else None


def _fitting(tree: Tree, name: str) -> tuple[float, Recognized] | None:
    """How well a list fits the images, and what it is; None where its paths are no files."""
    file = tree.root / name
    rows = _rows(file)
    if not rows:
        return None
    columns = list(rows[0])
    scores = {column: _share_found(tree, name, rows, column) for column in columns}
    path_column = max(
        columns, key=lambda c: (scores[c], c.lower() in PATH_NAMES, -columns.index(c))
    )
    if scores[path_column] < FOUND:
        return None
    if {column.lower() for column in columns} & BOX_COLUMNS:
        raise DataError(
            f"lists boxes or masks ({some_of(columns, 8)}); tlkit trains one class an image.",
            where=str(file),
            hint=CROP,
        )
    others = [c for c in columns if c != path_column and scores[c] < FOUND]
    label_column = _label_column(others, rows)
    one_hot = label_column is None and _is_one_hot(others, rows)
    if label_column is None and not one_hot:
        return None
    arguments = {"path": str(file), "path_column": path_column}
    if label_column is not None:
        arguments["label_column"] = label_column
    # the whole folder where names are enough to find the files, so that all in it is accounted for
    roots = _roots(tree, name, rows, path_column)
    bare = not any(re.search(r"[/\\]", row.get(path_column) or "") for row in rows)
    arguments["root"] = str(tree.root if bare or len(roots) != 1 else tree.root / roots.pop())
    left = [] if one_hot else [other for other in others if other != label_column]
    notes = (f"other columns of {name}: {some_of(left, 5)}",) if left else ()
    # of several lists: not the one to be filled in, and rather the one for training
    score = scores[path_column] - ("submission" in name.lower()) - 0.5 * ("test" in name.lower())
    score += 0.1 * ("train" in name.lower())
    what = "images with a list of their classes"
    where = f"classes in {label_column!r}" if label_column else "a column of 0 and 1 for each class"
    seen = f"{name}: paths in {path_column!r}, {where}"
    return score, Recognized(what, seen, "manifest", arguments, notes=notes)


def _share_found(tree: Tree, name: str, rows: list[dict[str, str]], column: str) -> float:
    values = [row.get(column) or "" for row in rows[:50]]
    near = name.rpartition("/")[0]
    return sum(bool(value) and _place(tree, value, near) is not None for value in values) / len(
        values
    )


def _place(tree: Tree, value: str, near: str) -> str | None:
    try:
        found = tree.find(value, near)
    except (OSError, ValueError):
        return None
    return found if "." + found.rpartition(".")[2].lower() in PICTURE_ENDINGS else None


def _roots(tree: Tree, name: str, rows: list[dict[str, str]], column: str) -> set[str]:
    """The folders that the paths of a list are relative to."""
    near = name.rpartition("/")[0]
    found = set()
    for row in rows:
        value = (row.get(column) or "").replace("\\", "/")
        place = _place(tree, value, near)
        if place is not None:
            depth = value.count("/") + 1
            found.add("/".join(place.split("/")[:-depth]))
    return found


def _label_column(columns: list[str], rows: list[dict[str, str]]) -> str | None:
    for usual in LABEL_NAMES:
        for column in columns:
            if column.lower() == usual:
                return column
    if _is_one_hot(columns, rows):
        return None
    # a column of words that come again
    fitting = []
    for column in columns:
        values = [row.get(column) or "" for row in rows]
        kinds = len(set(values))
        if 2 <= kinds <= max(2, len(values) // 2) and all(values) and not split_name(values[0]):
            words = not any(re.fullmatch(r"-?\d+\.\d+", value) for value in values)
            if words:
                fitting.append(column)
    return fitting[0] if fitting else None


def _is_one_hot(columns: list[str], rows: list[dict[str, str]]) -> bool:
    return len(columns) > 1 and all(
        re.fullmatch(r"[01](\.0*)?", row.get(column) or "") for column in columns for row in rows
    )


def _lists(tree: Tree) -> list[str]:
    """Lists near the top of a folder."""
    names = [n for n in tree.files if n.lower().endswith(LISTS) and n.count("/") < 3]
    return sorted(names, key=lambda n: (n.count("/"), n))[:MOST_LISTS]


def _columns(file: pathlib.Path) -> list[str]:
    rows = _rows(file, 1)
    return list(rows[0]) if rows else []


def _rows(file: pathlib.Path, most: int = LOOKED_AT) -> list[dict[str, str]]:
    """Some rows of a list; none where it is no list."""
    try:
        rows = read_table(file).sample(most)
    except DataError:
        return []
    return [{key: str(value).strip() for key, value in row.items()} for row in rows]


Tool = Callable[[Tree], Recognized | None]
SURE: tuple[Tool, ...] = (_tfds, _tfrecord, _roboflow, _edge_impulse, _teachable_machine, _voc)
TOOLS: tuple[Tool, ...] = (
    _tfds,
    _tfrecord,
    _roboflow,
    _roboflow_boxes,
    _edge_impulse,
    _teachable_machine,
    _coco,
    _cvat,
    _voc,
    _label_studio,
    _createml,
    _yolo,
    _imagefolder,
    _vertex,
    _table,
)


def recognize_file(file: pathlib.Path) -> Recognized:
    """What a file holds.

    Raises:
        DataError: if it is nothing that can be trained on.
    """
    if not file.is_file():
        raise DataError("is neither a file nor a folder", where=str(file))
    refuse_dvc_file(file)
    kind = file.suffix.lower()
    if is_tfrecord(file):
        return Recognized("a TFRecord file", file.name, "tfrecord", {"train": shards_of(file)})
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
        found = (
            _cvat(Tree(file.parent, {file.name: str(file)}))
            if file.name == "annotations.xml"
            else None
        )
        if found is None and parse_xml(file).tag == "annotations":
            found = Recognized("an export of CVAT", file.name, "cvat", {"path": str(file)})
        if found is None:
            raise DataError("is the XML of one image.", where=str(file), hint="Give the folder.")
        return found
    if kind in (".json", *LISTS) and (found := _label_studio_file(file, file.parent)):
        return found
    if kind == ".json":
        if is_coco(file):
            return Recognized("COCO annotations", file.name, "coco", {"path": str(file)})
        _createml(folder)
        raise DataError(
            "is JSON of a kind that is not known: expected COCO or Label Studio. A list of images is "
            "JSON lines, .jsonl",
            where=str(file),
        )
    if kind in LISTS:
        if _is_vertex(file):
            return Recognized("a list for Vertex AI", file.name, "vertex", {"path": str(file)})
        return _list(file)
    raise DataError(
        "expected a folder of images, an archive of one, a list (.csv, .tsv, .jsonl), annotations of "
        "COCO, CVAT or Label Studio, or a TFRecord file",
        where=str(file),
    )


def _list(file: pathlib.Path) -> Recognized:
    """A list of images; its columns are found by the source, or by the words that come again."""
    plain = Recognized("a list of images", file.name, "manifest", {"path": str(file)})
    try:
        plain.read()
    except DataError:
        found = _fitting(Tree.of(file.parent), file.name)
        return found[1] if found is not None else plain
    return plain


def shards_of(file: pathlib.Path) -> str:
    """A pattern of all shards, where the file is one of several."""
    found = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(.*)", file.name)
    return (
        str(file) if found is None else str(file.parent / f"{found[1]}-*-of-{found[2]}{found[3]}")
    )
