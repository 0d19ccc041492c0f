"""`init` and the sources on files as tools write them: what is read is what was put in."""

import collections
import json
import pathlib

import pytest

from tests.conftest import draw
from tests.data import exports
from tlkit import registry
from tlkit.data.read_source import read_records
from tlkit.data.recognize import recognize
from tlkit.data.record import SourceData
from tlkit.draft import draft_recipe, found_in, source_of
from tlkit.errors import DataError, UserError
from tlkit.recipe.load import load_recipe
from tlkit.tasks.classification import Classification

SPLIT = {("cat", "train"): 3, ("dog", "train"): 3, ("cat", "val"): 1, ("dog", "val"): 1}
TESTED = {("cat", "train"): 3, ("dog", "train"): 3, ("cat", "test"): 1, ("dog", "test"): 1}
WHOLE = {("cat", None): 4, ("dog", None): 4}
DOGS = {("boxer", None): 4, ("beagle", None): 4}
TINY = {
    ("n01443537", "train"): 3,
    ("n01629819", "train"): 3,
    ("n01443537", "val"): 1,
    ("n01629819", "val"): 1,
}
VERTEX = {(label, use): 1 for label in ("cat", "dog") for use in ("train", "val", "test", None)}

LAYOUTS = {
    "folders": (lambda p: exports.folders(p), "folder", WHOLE),
    "roboflow": (lambda p: exports.roboflow(p), "roboflow", {**SPLIT, **TESTED}),
    "label-studio": (lambda p: exports.label_studio(p / "x.json"), "label_studio", WHOLE),
    "label-studio-min": (lambda p: exports.label_studio(p / "x.json", "JSON-MIN"), "label_studio", WHOLE),
    "label-studio-csv": (lambda p: exports.label_studio(p / "x.csv", "CSV"), "label_studio", WHOLE),
    "label-studio-tsv": (lambda p: exports.label_studio(p / "x.tsv", "TSV"), "label_studio", WHOLE),
    "label-studio-local": (lambda p: exports.label_studio(p / "x.json", upload=False), "label_studio", WHOLE),
    "cvat": (lambda p: exports.cvat(p), "cvat", WHOLE),
    "coco-roboflow": (lambda p: exports.coco(p), "coco", SPLIT),
    "coco-official": (lambda p: exports.coco(p, "official"), "coco", SPLIT),
    "voc": (lambda p: exports.voc(p), "voc", SPLIT),
    "voc-lists": (lambda p: exports.voc(p, lists=True), "voc", SPLIT),
    "vertex": (lambda p: exports.vertex(p), "vertex", VERTEX),
    "vertex-jsonl": (lambda p: exports.vertex(p, "jsonl"), "vertex", VERTEX),
    "vertex-folder": (lambda p: exports.vertex(p).parent, "vertex", VERTEX),
    "hf-csv": (lambda p: exports.imagefolder(p), "imagefolder", TESTED),
    "hf-jsonl-above": (lambda p: exports.imagefolder(p, "jsonl", "top"), "imagefolder", TESTED),
    "hf-column": (lambda p: exports.imagefolder(p, column="species"), "imagefolder", TESTED),
    "edge-impulse": (lambda p: exports.edge_impulse(p), "edge_impulse", TESTED),
    "edge-impulse-names": (lambda p: exports.edge_impulse(p, info=False), "edge_impulse", TESTED),
    "tiny-imagenet": (lambda p: exports.tiny_imagenet(p), "tiny_imagenet", TINY),
    "tiny-imagenet-above": (lambda p: exports.tiny_imagenet(p / "tiny-imagenet-200").parent, "tiny_imagenet", TINY),
    "datumaro": (lambda p: exports.datumaro(p), "datumaro", SPLIT),
    "kaggle": (lambda p: exports.kaggle(p), "manifest", DOGS),
    "kaggle-endings": (lambda p: exports.kaggle(p, ".jpg"), "manifest", DOGS),
    "kaggle-parts": (lambda p: exports.kaggle(p, shards=True), "manifest", DOGS),
    "kaggle-list": (lambda p: exports.kaggle(p) / "train.csv", "manifest", DOGS),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_recognised_and_its_recipe_reads_every_image(tmp_path, layout):
    make, source, counts = LAYOUTS[layout]
    root = tmp_path / "data"
    root.mkdir()
    data = make(root)
    draft = draft_recipe(data, "tiny", tmp_path)
    (tmp_path / "r.yaml").write_text(draft.text, "utf-8")
    recipe = load_recipe(tmp_path / "r.yaml")
    assert recipe.data.source.name == source
    records = read_records(recipe.data.source).records
    assert collections.Counter((r.label, r.split) for r in records) == counts
    assert len({r.read() for r in records}) == sum(counts.values())  # each picture once
    assert "taken for" in draft.lines[0]
    assert f"# {found_in(data).what}" in draft.text


SEVERAL = {
    "roboflow": lambda p: exports.roboflow(p, several=True),
    "coco": lambda p: exports.coco(p, several=True),
    "voc": lambda p: exports.voc(p, several=True),
    "cvat": lambda p: exports.cvat(p, several=True),
    "label-studio-csv": lambda p: exports.label_studio(p / "x.csv", "CSV", several=True),
    "label-studio": lambda p: exports.label_studio(p / "x.json", several=True),
}


@pytest.mark.parametrize("layout", SEVERAL)
def test_several_labels_an_image_are_read_from_exports(tmp_path, layout):
    (tmp_path / "data").mkdir()
    draft = draft_recipe(SEVERAL[layout](tmp_path / "data"), "tiny", tmp_path)
    assert "task: multi-label" in draft.text
    (tmp_path / "r.yaml").write_text(draft.text, "utf-8")
    records = read_records(load_recipe(tmp_path / "r.yaml").data.source).records
    counts = collections.Counter(len(record.labels) for record in records)
    assert counts == {1: len(records) - 1, 2: 1}
    (both,) = (set(record.labels) for record in records if len(record.labels) == 2)
    assert both == {"cat", "dog"}
    with pytest.raises(
        DataError, match=r"(?s)several labels: (cat, dog|dog, cat).*task: multi-label"
    ):
        Classification.learn(records, SourceData(records))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: exports.datumaro(p, boxes=True), "no labels of whole images"),
        (lambda p: exports.cvat(p, boxes=True), "8 shapes and no tags.*Crop each object"),
    ],
)
def test_what_cannot_be_trained_is_called_by_its_name(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        draft_recipe(make(tmp_path), "tiny", tmp_path)


def _write(root: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    for name, text in files.items():
        if text == "picture":
            exports.put(root / name, len(name) % 3, len(name))
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images/1.jpg": "picture", "labels/1.txt": "0 .5 .5 .1 .1", "data.yaml": "names: [a]"},
         "YOLO's format for object detection"),
        ({"images/train/1.jpg": "picture", "labels/train/1.txt": "0 0.5 0.5 0.1 0.1\n1 .1 .1 .2 .2\n"},
         "YOLO's format for object detection"),
        ({"a.jpg": "picture", "a.txt": "12 0.5 0.5 1e-2 0.1\n", "classes.txt": "cat\n"},
         "YOLO's format for object detection"),
        ({"train/images/1.jpg": "picture", "train/labels/1.txt": "", "train/images/22.jpg": "picture",
          "train/labels/22.txt": "0 0.1 0.1 0.2 0.2 0.3 0.1 0.1 0.1"}, "YOLO's format"),
        ({"data/1.png": "picture", "metadata.json": "{}", "samples.json": json.dumps(
            {"samples": [{"filepath": "data/1.png", "ground_truth": {"_cls": "Classification"}}]})},
         "FiftyOne.*ImageClassificationDirectoryTree"),
        ({"data/1.png": "picture", "labels.json": '{"classes": ["cat"], "labels": {"1": 0}}'},
         "FiftyOne.*ImageClassificationDirectoryTree"),
        ({"1.jpg": "picture", "c.json": json.dumps({
            "categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}],
            "images": [{"id": 1, "file_name": "1.jpg"}],
            "annotations": [{"image_id": 1, "category_id": 1}]})},
         r"c\.json: two of its categories have the id 1: 'cat' and 'dog'"),
        ({"1.jpg": "picture", "22.jpg": "picture", "c.json": json.dumps({
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "22.jpg"}],
            "annotations": [{"image_id": 1, "category_id": 1}]})},
         r"two of its images have the id 1: '1\.jpg' and '22\.jpg'"),
        ({"train/1.jpg": "picture", "train/_annotations.csv": "filename,width,height,class,xmin\n"},
         "Roboflow for object detection"),
        ({"train/1.jpg": "picture", "train/_classes.csv": "Pixel Value, Class\n0, a\n"}, "mask"),
        ({"1.jpg": "picture", "1.json": json.dumps({"shapes": [], "imagePath": "1.jpg"})}, "LabelMe"),
        ({"1.jpg": "picture", "l.csv": "path,xmin,label\n1.jpg,3,a\n1.jpg,5,b\n"}, "boxes or masks"),
        ({"a/1.jpg": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
          "b/2.jpg": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"},
         "Git LFS keeps it. Fetch them: git lfs pull"),
        ({"photos.dvc": "outs:\n- md5: 0.dir\n  path: photos\n"}, "DVC keeps them. Fetch them: dvc pull"),
    ],
)  # fmt: skip
def test_other_tasks_and_pointers_get_one_sentence(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        draft_recipe(_write(tmp_path, files), "tiny", tmp_path)


def test_a_column_for_each_class_is_read(tmp_path):
    files = {"images/1.jpg": "picture", "images/22.jpg": "picture"}
    _write(tmp_path / "data", {**files, "train.csv": "image_id,rust,scab\n1,0,1\n22,1,0\n"})
    draft = draft_recipe(tmp_path / "data", "tiny", tmp_path)
    (tmp_path / "r.yaml").write_text(draft.text)
    records = read_records(load_recipe(tmp_path / "r.yaml").data.source).records
    assert [(r.name, r.label) for r in records] == [("1", "scab"), ("22", "rust")]


def test_links_into_git_annex_that_are_not_fetched_are_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").symlink_to(
            ".git/annex/objects/Xx/Yy/MD5E-s1--0.jpg/MD5E-s1--0.jpg"
        )
    with pytest.raises(DataError, match="git annex get"):
        draft_recipe(tmp_path, "tiny", tmp_path)


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (exports.roboflow, "roboflow"),
        (exports.coco, "coco"),
        (exports.voc, "voc"),
        (exports.edge_impulse, "edge_impulse"),
        (exports.kaggle, "manifest"),
        (exports.imagefolder, "imagefolder"),
    ],
)
def test_a_tools_export_given_as_folder_is_refused_with_its_source(tmp_path, make, source):
    from tlkit.recipe.schema import Component

    with pytest.raises(DataError, match=rf"Use data.source: {{{source}: .* tlkit init"):
        read_records(Component("folder", {"path": str(make(tmp_path))}))


def test_a_path_of_another_folder_is_no_picture_of_this_one(tmp_path):
    exports.put(tmp_path / "rose" / "1.jpg", 0, 0)
    exports.put(tmp_path / "tulip" / "2.jpg", 1, 1)
    (tmp_path / "l.csv").write_text(
        "training,gs://b/flowers/rose/1.jpg,rose\ntraining,gs://b/flowers/tulip/1.jpg,tulip\n"
        "training,gs://b/flowers/tulip/2.jpg,tulip\n"
    )
    rose, wrong, tulip = read_records(source_of(tmp_path / "l.csv")).records
    assert rose.read() != tulip.read()
    with pytest.raises(FileNotFoundError, match=r"no 1\.jpg"):
        wrong.read()


def test_arguments_of_the_source_are_taken_and_checked(tmp_path):
    for number in range(4):
        exports.put(tmp_path / "deep" / f"{number}.jpg", number % 2, number)
    lines = [f"{n}.jpg,{'ab'[n % 2]},{'xy'[n // 2]}" for n in range(4)]
    (tmp_path / "l.csv").write_text("pic,one,two\n" + "\n".join(lines) + "\n")
    given = ["path_column=pic", "label_column=two", f"root={tmp_path / 'deep'}"]
    draft = draft_recipe(tmp_path / "l.csv", "tiny", tmp_path, given)
    assert (
        "{manifest: {path: l.csv, path_column: pic, label_column: two, root: deep}}" in draft.text
    )
    with pytest.raises(UserError, match=r"no argument .colum.\. Did you mean"):
        draft_recipe(tmp_path / "l.csv", "tiny", tmp_path, ["colum=pic"])


def test_class_folders_with_other_files_beside_them_stay_class_folders(tmp_path):
    from tlkit.recipe.schema import Component

    exports.folders(tmp_path)
    for name, text in {
        "Annotations/cat/1.xml": "<annotation><filename>cat.0.jpg</filename></annotation>",
        "broken.xml": "<a",
        "annotations.xml": "<other/>",
        "notes.csv": "a,b\n1,2\n",
        "x.json": "{",
    }.items():
        _write(tmp_path, {name: text})
    assert len(read_records(Component("folder", {"path": str(tmp_path)})).records) == 8
    assert found_in(tmp_path).source == "folder"


def test_depth_says_that_folders_are_classes_whatever_lies_beside_them(tmp_path):
    from tlkit.recipe.schema import Component

    exports.kaggle(tmp_path)
    labels = {
        r.label
        for r in read_records(Component("folder", {"path": str(tmp_path), "depth": 1})).records
    }
    assert labels == {"train", "test"}


def test_a_list_of_few_of_the_pictures_does_not_take_the_place_of_class_folders(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(6):
            draw(0, index).save(tmp_path / name / f"{index}.png")
    (tmp_path / "odd.csv").write_text("filename,label\ncat/0.png,blurred\ndog/1.png,sharp\n")
    found = recognize(tmp_path)
    assert found.source == "folder"
    assert "names 2 of the 12 pictures and is not used" in found.notes[0]


def test_what_no_tool_writes_is_a_sentence(tmp_path):
    (tmp_path / "x.json").write_text('{"images": [1], "annotations": [], "categories": []}')
    draw(0, 0).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="COCO's JSON: an entry is of another kind"):
        registry.SOURCES.build("coco", path=str(tmp_path / "x.json"))
