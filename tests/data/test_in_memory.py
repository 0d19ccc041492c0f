"""Images in memory become the records that files would be."""

import io
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.conftest import draw
from tlkit.data.decode import make_preparer
from tlkit.data.in_memory import lending, take
from tlkit.data.png import as_png
from tlkit.data.read_source import read_records
from tlkit.errors import DataError
from tlkit.recipe.schema import Component

IMAGES = np.stack([np.asarray(draw(k % 3, k, 24)) for k in range(9)])
IDS = np.arange(9) % 3
NAMES = np.array(["red", "green", "blue"])[IDS]


def pixels(record):
    return np.asarray(Image.open(io.BytesIO(record.read())))


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 1), (200, 333, 3), (128, 256, 1)])
def test_a_stored_png_is_read_by_others_to_the_last_bit(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    data = as_png(image)
    found = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(found.reshape(shape), image)
    np.testing.assert_array_equal(tf.io.decode_png(data), image)


def test_a_stored_png_is_always_the_same_bytes():
    assert as_png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).hex() == (
        "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a7300000019494441"
        "547801010e00f1ff0000010203040500060708090a0b013b004339c1271b0000000049454e44ae42"
        "6082"
    )


@pytest.mark.parametrize(
    "labels",
    [IDS, IDS.astype(np.uint8), IDS[:, None], list(map(int, IDS)), np.eye(3)[IDS], np.eye(3, dtype=bool)[IDS]],
)  # fmt: skip
def test_labels_may_be_ids_or_one_hot_rows(labels):
    data = take((IMAGES, labels)).data
    assert [record.label for record in data.records] == [str(k) for k in IDS]
    named = take({"train": (IMAGES, labels), "classes": ["red", "green", "blue"]}).data
    assert [record.label for record in named.records] == list(NAMES)
    assert named.classes == ["red", "green", "blue"]


@pytest.mark.parametrize(
    "labels", [NAMES, list(NAMES), NAMES.astype(object), np.char.encode(NAMES), tf.constant(NAMES)]
)
def test_labels_may_be_names(labels):
    data = take((IMAGES, labels)).data
    assert [record.label for record in data.records] == list(NAMES)
    assert data.classes is None


def test_images_are_read_as_they_are():
    for images in (IMAGES, list(IMAGES), IMAGES.astype(np.float32), IMAGES.astype(np.int64)):
        found = take((images, IDS)).data
        np.testing.assert_array_equal([pixels(record) for record in found.records], IMAGES)
        assert bool(found.notes) == (np.asarray(images).dtype.kind == "f")
    sizes = [IMAGES[0], IMAGES[1][:10], IMAGES[2][:, :9]]
    assert [pixels(r).shape for r in take((sizes, IDS[:3])).data.records] == [
        image.shape for image in sizes
    ]
    grey = take((IMAGES[..., :1], IDS)).data.records[0]
    prepared = make_preparer((24, 24), "crop", False)(grey.read())
    np.testing.assert_array_equal(prepared, np.repeat(IMAGES[0][..., :1], 3, -1))


def test_fractions_are_rounded_and_not_cut():
    images = np.full((2, 4, 4, 3), 99.5, np.float32)
    images[1] = 98.6
    found = take((images, ["a", "b"])).data
    assert [int(pixels(record)[0, 0, 0]) for record in found.records] == [100, 99]
    assert found.notes == ("pixels of float32 are rounded to whole levels",)


def test_parts_are_splits():
    data = take({"train": (IMAGES[:6], IDS[:6]), "test": (IMAGES[6:], IDS[6:])}).data
    assert [record.split for record in data.records] == ["train"] * 6 + ["test"] * 3
    assert data.records[6].name == "test[0]"
    assert {record.split for record in take((IMAGES, IDS)).data.records} == {None}


@pytest.mark.parametrize("batch", [None, 4])
def test_a_shuffled_data_set_gives_the_same_records_each_time(batch):
    whole = tf.data.Dataset.from_tensor_slices((IMAGES, IDS)).shuffle(9)
    first, second = (take(whole if batch is None else whole.batch(batch)).data for _ in range(2))
    assert [(r.name, r.label, r.read()) for r in first.records] == [
        (r.name, r.label, r.read()) for r in second.records
    ]
    expected = sorted((image.tobytes(), str(k)) for image, k in zip(IMAGES, IDS, strict=True))
    assert sorted((pixels(r).tobytes(), r.label) for r in first.records) == expected


def test_what_keras_reads_from_a_folder_is_taken(photos):
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        photos, image_size=(40, 40), batch_size=7, verbose=False
    )
    data = take({"train": dataset}).data
    assert data.classes == ["blue", "green", "red"] and len(data.records) == 60
    red = next(record for record in data.records if record.label == "red")
    assert pixels(red)[..., 0].mean() > pixels(red)[..., 2].mean()


def test_copies_in_a_data_set_have_names_of_their_own():
    twice = tf.data.Dataset.from_tensor_slices((np.repeat(IMAGES[:1], 2, 0), [0, 0]))
    names = [record.name for record in take(twice).data.records]
    assert len(set(names)) == 2


def bad(*, images=IMAGES, labels=IDS):
    return (images, labels)


WRONG = {
    "no pair": (IMAGES, "expected (images, labels)"),
    "scaled floats": (bad(images=IMAGES / 255.0), "Hand over images * 255"),
    "scaled whole": (bad(images=(IMAGES > 99).astype(np.uint8)), "as scaled to [0, 1]"),
    "centred": (bad(images=IMAGES - 128.0), "preprocessing is part of the network"),
    "too bright": (bad(images=IMAGES * 2.0), "expected pixels from 0 to 255"),
    "no number": (bad(images=np.full((9, 4, 4, 3), np.nan)), "not all finite"),
    "one image": (bad(images=IMAGES[0]), "images[None]"),
    "no channels": (bad(images=IMAGES[..., 0]), "images[..., None]"),
    "alpha": (bad(images=np.concatenate([IMAGES, IMAGES[..., :1]], -1)), "images[..., :3]"),
    "channels first": (bad(images=np.moveaxis(IMAGES, -1, 1)), "np.moveaxis"),
    "text": (bad(images=IMAGES.astype(str)), "expected pixels as numbers"),
    "none": (bad(images=IMAGES[:0], labels=IDS[:0]), "holds no images"),
    "no list": (bad(images=[], labels=[]), "holds no images"),
    "a label short": (bad(labels=IDS[:8]), "9 images and 8 labels"),
    "below zero": (bad(labels=IDS - 1), "label -1 is below 0"),
    "fractions": (bad(labels=IDS.astype(float)), "labels.astype(int)"),
    "two of a kind": (bad(labels=[["a", None]] * 9), "expected a list of names"),
    "an empty label": (bad(labels=[["a", ""]] * 9), "a label is empty text"),
    "no such label": ({"train": (IMAGES, [["red", "blue"]] * 9), "classes": ["red"]}, "not a class: blue"),
    "narrow flags": ({"train": (IMAGES, np.ones((9, 3), int)), "classes": ["a", "b"]}, "3 columns, and there are 2"),
    "wide and narrow": ({"train": (IMAGES, np.ones((9, 3), int)), "val": (IMAGES, np.ones((9, 2), int))}, "2, 3 columns"),
    "deep": (bad(labels=IDS.reshape(9, 1, 1)), "of shape (9, 1, 1)"),
    "empty name": (bad(labels=["", *NAMES[1:]]), "empty text"),
    "a key": ({"train": (IMAGES, IDS), "validation": (IMAGES, IDS)}, "Allowed"),
    "no train": ({"val": (IMAGES, IDS)}, "needs train"),
    "no class": ({"train": (IMAGES, IDS), "classes": ["a", "b"]}, "label 2 is not a class"),
    "no name": ({"train": (IMAGES, NAMES), "classes": ["red", "green"]}, "not a class: blue"),
    "narrow": ({"train": (IMAGES, np.eye(3)[IDS]), "classes": ["a", "b"]}, "3 columns, and there are 2"),
    "twice": ({"train": (IMAGES, IDS), "classes": ["a", "b", "a"]}, "named twice"),
    "kinds": ({"train": (IMAGES, IDS), "val": (IMAGES, NAMES)}, "names and whole numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_with_what_to_do(case):
    data, said = WRONG[case]
    with pytest.raises(DataError) as error:
        take(data)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices((IMAGES, IDS)).repeat(), "never ends"),
        (lambda: tf.data.Dataset.from_tensor_slices(IMAGES), "(image, label)"),
        (lambda: tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": IDS}), "(image, label)"),
        (lambda: tf.data.Dataset.from_tensor_slices((IMAGES / 255, IDS)), "images * 255"),
        (lambda: tf.data.Dataset.from_tensor_slices((IMAGES, IDS)).take(0), "holds no images"),
    ],
)  # fmt: skip
def test_a_data_set_that_is_none_of_images_is_refused(dataset, said):
    with pytest.raises(DataError) as error:
        take(dataset())
    assert said in str(error.value)


def test_ids_mean_the_classes_of_a_model_or_their_names():
    known = ["blue", "green", "red"]
    found = take((IMAGES, IDS), known).data
    assert [r.label for r in found.records] == [known[k] for k in IDS] and found.classes is None
    numbers = take((IMAGES, IDS), ["0", "1", "2", "10"]).data
    assert [r.label for r in numbers.records] == [str(k) for k in IDS]
    with pytest.raises(DataError, match="label 2 is not a class"):
        take((IMAGES, IDS), known[:2])


def test_the_source_gives_what_was_handed_over_and_else_says_how():
    handed = take((IMAGES, IDS))
    ((name, arguments),) = handed.source.items()
    assert arguments == {"kind": "arrays", "images": 9}
    with lending(handed):
        assert read_records(Component(name, arguments)) is handed.data
    with pytest.raises(DataError, match=r"tlkit.resume\(RUN, data=\(images, labels\)\)"):
        read_records(Component(name, arguments))


def test_arrays_are_not_copied():
    images = np.full((400, 64, 64, 3), 7, np.uint8)
    handed = take((images, np.arange(400) % 2))
    images[3] = 9
    assert pixels(handed.data.records[3]).max() == 9
    assert sum(sys.getsizeof(record) for record in handed.data.records) < images.nbytes / 10
