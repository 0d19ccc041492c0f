"""Several labels an image in the formats that tools write."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import draw
from tests.data import exports
from tests.data.test_sources import put, read
from tlkit.errors import DataError

SETS = [("red", "green"), (), ("blue",), ("green",)]
NAMES = ["red", "green", "blue"]


def sets_of(data):
    return [record.labels for record in data.records]


FEATURES = {
    "sequence": (
        lambda f: f.Sequence(f.ClassLabel(names=NAMES)),
        lambda own: [NAMES.index(name) for name in own],
    ),
    "flags": (
        lambda f: f.FeaturesDict(dict.fromkeys(NAMES, np.bool_)),
        lambda own: {name: name in own for name in NAMES},
    ),
    "multi-hot": (
        lambda f: f.Tensor(shape=(3,), dtype=np.int64),
        lambda own: np.array([name in own for name in NAMES], np.int64),
    ),
}


@pytest.mark.parametrize("stored", ["tfrecord", "array_record"])
@pytest.mark.parametrize("kind", FEATURES)
def test_features_of_tfds_are_label_sets(tmp_path, kind, stored):
    import tensorflow_datasets as tfds

    feature, of = FEATURES[kind]

    class Tagged(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "tags": feature(tfds.features),
                    }
                )
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for index, own in enumerate(SETS):
                yield index, {"image": np.asarray(draw(index % 3, index)), "tags": of(own)}

    try:
        Tagged(data_dir=str(tmp_path), file_format=stored).download_and_prepare()
    except (ImportError, ModuleNotFoundError):
        pytest.skip("array_record is not there")
    data = read("tfds", name="tagged", data_dir=str(tmp_path), label_key="tags")
    names = NAMES if kind != "multi-hot" else ["0", "1", "2"]
    expected = [tuple(names[NAMES.index(name)] for name in own) for own in SETS]
    assert sorted(map(sorted, sets_of(data))) == sorted(map(sorted, expected))
    assert len({record.read() for record in data.records}) == 4


def test_values_of_a_tfrecord_are_labels(tmp_path):
    file = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for index, own in enumerate(SETS):
            put(tmp_path / "x.png", 0, index)
            values = [name.encode() for name in own]
            features = {
                "image": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[(tmp_path / "x.png").read_bytes()])
                ),
                "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=values)),
            }
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            )
    assert sets_of(read("tfrecord", train=str(file))) == SETS


def test_an_image_without_labels_is_one_where_a_tool_is_certain(tmp_path):
    """A row of zeros says so; an image that nobody labelled does not."""
    root = exports.roboflow(tmp_path / "roboflow", several=True)
    table = root / "train" / "_classes.csv"
    table.write_text(table.read_text().replace(".jpg, 1, 0", ".jpg, 0, 0", 1))
    assert [sorted(own) for own in sets_of(read("roboflow", path=str(root)))].count([]) == 1
    file = tmp_path / "studio" / "x.json"
    file.parent.mkdir()
    exports.label_studio(file, several=True)
    tasks = json.loads(file.read_text())
    tasks[0]["annotations"][0]["result"] = []
    file.write_text(json.dumps(tasks))
    data = read("label_studio", path=str(file))
    assert len(data.records) == 7
    assert all(record.labels for record in data.records)


@pytest.mark.parametrize(("mark", "found"), [("-1", 4), ("0", 3)])
def test_what_is_hard_to_tell_is_no_image_without_labels(tmp_path, mark, found):
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for number in range(4):
        put(tmp_path / "JPEGImages" / f"{number}.jpg", 0, number)
    lists = {"cat": ["1", "1", "-1", mark], "dog": ["1", "-1", "1", mark]}
    for name, marks in lists.items():
        text = "".join(f"{k} {one}\n" for k, one in enumerate(marks))
        (tmp_path / "ImageSets" / "Main" / f"{name}_train.txt").write_text(text)
    data = read("voc", path=str(tmp_path))
    assert len(data.records) == found
    assert sorted(data.records[0].labels) == ["cat", "dog"]


def test_people_who_disagree_are_named(tmp_path):
    file = tmp_path / "x.json"
    exports.label_studio(file)
    tasks = json.loads(file.read_text())
    other = json.loads(json.dumps(tasks[2]["annotations"][0]))
    other["result"][0]["value"]["choices"] = ["dog"]
    tasks[2]["annotations"].append(other)
    file.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match=r"people label .*photo%202.jpg differently: cat and dog"):
        read("label_studio", path=str(file))
