import json
import pathlib

import numpy as np
import pytest

from tests.conftest import draw
from tlkit import registry
from tlkit.errors import DataError, UserError


def read(source, **arguments):
    return registry.SOURCES.build(
        source, **registry.SOURCES[source].arguments(**arguments).model_dump()
    )


def put(path: pathlib.Path, kind=0, seed=0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(kind, seed).save(path)


def test_class_folders_are_read_in_natural_order(tmp_path):
    for name in ("10", "9", "1"):
        put(tmp_path / name / "a.PNG")
    (tmp_path / "1" / "notes.txt").write_text("no picture")
    data = read("folder", path=str(tmp_path))
    assert [(r.label, r.name, r.split) for r in data.records] == [
        ("1", "1/a.PNG", None), ("9", "9/a.PNG", None), ("10", "10/a.PNG", None)
    ]  # fmt: skip
    assert data.records[0].read() == (tmp_path / "1" / "a.PNG").read_bytes()


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Training", "VALID", "testing"), ("trn", "validation", "tst")],
)
def test_split_folders_are_known_by_their_synonyms(tmp_path, names):
    for name in names:
        put(tmp_path / name / "cat" / "x.png")
        put(tmp_path / name / "dog" / "x.png")
    splits = [r.split for r in read("folder", path=str(tmp_path)).records]
    assert sorted(splits) == ["test", "test", "train", "train", "val", "val"]


def test_a_class_called_test_is_a_class_if_someone_says_so(tmp_path):
    put(tmp_path / "test" / "x.png")
    put(tmp_path / "exam" / "x.png")
    with pytest.raises(DataError, match=r"test is named like a split, and exam is not.*depth: 1"):
        read("folder", path=str(tmp_path))
    records = read("folder", path=str(tmp_path), depth=1).records
    assert {r.label for r in records} == {"test", "exam"}


def test_an_empty_class_folder_is_reported(tmp_path):
    put(tmp_path / "cat" / "x.png")
    (tmp_path / "dog").mkdir()
    assert read("folder", path=str(tmp_path)).empty == ("dog",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no class folders with images"),
        (lambda p: put(p / "1.png"), "1 images lie side by side"),
        (lambda p: put(p / "val" / "cat" / "1.png"), "no train folder"),
    ],
)
def test_a_folder_without_classes_is_explained(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        read("folder", path=str(tmp_path))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="gone: no such folder"):
        read("folder", path=str(tmp_path / "gone"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_manifests_of_three_kinds_say_the_same(tmp_path, kind):
    put(tmp_path / "i" / "a.png")
    rows = [
        {"file": "i/a.png", "label": "cat", "split": "train"},
        {"file": "i/b.png", "label": "dog, big", "split": "Valid"},
    ]
    file = tmp_path / f"m.{kind}"
    if kind == "jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        separator = "," if kind == "csv" else "\t"
        lines = [separator.join(rows[0])]
        lines += [separator.join(f'"{v}"' for v in row.values()) for row in rows]
        file.write_text("\n".join(lines))
    records = read("manifest", path=str(file)).records
    assert [(r.name, r.label, r.split) for r in records] == [
        ("i/a.png", "cat", "train"), ("i/b.png", "dog, big", "val")
    ]  # fmt: skip
    assert records[0].read() == (tmp_path / "i" / "a.png").read_bytes()


def test_columns_may_have_any_name_and_paths_any_root(tmp_path):
    put(tmp_path / "deep" / "a.png")
    (tmp_path / "m.csv").write_text("pic,what\na.png,cat\n")
    (record,) = read("manifest", path=str(tmp_path / "m.csv"), path_column="pic", label_column="what", root=str(tmp_path / "deep")).records  # fmt: skip
    assert record.read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pic,label\na,b\n", r"m.csv:1: none of its columns \(pic, label\)"),
        ("path,label\na.png,\n", "m.csv:2: no 'label'"),
        (
            "path,label,split\na.png,x,trein\n",
            "m.csv:2: 'trein' in 'split' names no split. Did you mean 'train'",
        ),
        ("path,label\n", "lists no images"),
    ],
)
def test_a_wrong_manifest_is_named_by_line(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read("manifest", path=str(tmp_path / "m.csv"))


def test_a_wrong_column_is_suggested(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\na.png,x\n")
    with pytest.raises(DataError, match="Did you mean 'label'"):
        read("manifest", path=str(tmp_path / "m.csv"), label_column="lable")


@pytest.fixture
def tfrecord(tmp_path):
    import tensorflow as tf

    def write(name, rows):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for image, label in rows:
                kind = (
                    {"int64_list": tf.train.Int64List(value=[label])}
                    if isinstance(label, int)
                    else {"bytes_list": tf.train.BytesList(value=[label.encode()])}
                )
                features = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                    "label": tf.train.Feature(**kind),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
        return tmp_path / name

    return write


def test_tfrecords_give_the_bytes_that_were_written(tfrecord):
    file = tfrecord("a.tfrecord", [(b"one", "cat"), (b"two" * 1000, "dog")])
    records = read("tfrecord", train=str(file)).records
    assert [(r.read(), r.label, r.split) for r in records] == [
        (b"one", "cat", None), (b"two" * 1000, "dog", None)
    ]  # fmt: skip


def test_tfrecord_shards_splits_and_numbered_classes(tfrecord, tmp_path):
    tfrecord("t-0.rec", [(b"x", 1)])
    tfrecord("t-1.rec", [(b"y", 0)])
    tfrecord("v.rec", [(b"z", 1)])
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    data = read("tfrecord", train=str(tmp_path / "t-*.rec"), val=str(tmp_path / "v.rec"), classes=str(tmp_path / "names.txt"))  # fmt: skip
    assert [(r.label, r.split) for r in data.records] == [
        ("dog", "train"),
        ("cat", "train"),
        ("dog", "val"),
    ]
    assert data.classes == ["cat", "dog"]


def test_a_cut_tfrecord_is_refused(tfrecord):
    file = tfrecord("a.tfrecord", [(b"one" * 50, "cat")])
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="cut short"):
        read("tfrecord", train=str(file))
    with pytest.raises(DataError, match="no such TFRecord"):
        read("tfrecord", train=str(file) + "x")


def test_a_tfds_data_set_is_read_by_name_and_split(prepared):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    data = read("tfds", name="colours", data_dir=str(prepared), train="train[:75%]", val="train[75%:]", test="test")  # fmt: skip
    assert data.classes == ["red", "green", "blue"]
    splits = [r.split for r in data.records]
    assert [splits.count(name) for name in ("train", "val", "test")] == [18, 6, 6]
    builder = tfds.builder_from_directory(str(prepared / "colours" / "1.0.0"))
    truth = list(builder.as_dataset(split="train[75%:]", shuffle_files=False))
    for record, example in zip(data.records[18:24], truth, strict=True):
        assert record.label == data.classes[int(example["label"])]
        np.testing.assert_array_equal(tf.io.decode_image(record.read()), example["image"])


def test_tfds_image_folder_gives_the_files(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            put(tmp_path / split / name / "a.png", seed=len(split + name))
    data = read("tfds", name="image_folder", data_dir=str(tmp_path))
    assert [r.split for r in data.records].count("val") == 2
    contents = {r.read() for r in data.records}
    assert contents == {f.read_bytes() for f in tmp_path.rglob("*.png")}


def test_wrong_splits_and_features_of_tfds_are_named(prepared):
    with pytest.raises(DataError, match="It has: train, test"):
        read("tfds", name="colours", data_dir=str(prepared), train="trian")
    with pytest.raises(DataError, match="it has image, label"):
        read("tfds", name="colours", data_dir=str(prepared), label_key="lable")


def test_an_unprepared_data_set_is_refused_with_the_command(tmp_path):
    with pytest.raises(UserError, match=r"tfds build tf_flowers --data_dir"):
        read("tfds", name="tf_flowers", data_dir=str(tmp_path))


def test_a_download_that_fails_says_so(tmp_path):
    with pytest.raises(DataError, match="could not be downloaded and prepared"):
        read("tfds", name="no_such_data_set_at_all", data_dir=str(tmp_path), download=True)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ImageFolder", "Use data.source: {folder: here}"), ("TfFlowers", "Try: tf_flowers")],
)
def test_a_tfds_name_of_a_class_leads_to_what_is_meant(name, hint):
    with pytest.raises(DataError, match=hint):
        read("tfds", name=name, data_dir="here")
