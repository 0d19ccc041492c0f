import pytest

from tlkit.data.split_name import split_name, split_pairs, splits_named


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        (" Training ", "train"),
        ("training_set", "train"),
        ("Train Images", "train"),
        ("train_data", "train"),
        ("trainset", "train"),
        ("train2017", "train"),
        ("TrainImages", "train"),
        ("trainval", "train"),
        ("validate", "val"),
        ("Validación", "val"),
        ("eval", "val"),
        ("dev", "val"),
        ("valid", "val"),
        ("test_set", "test"),
        ("TEST1", "test"),
        ("seg_test", "test"),
        ("imgs-test", "test"),
    ],
)
def test_names_of_splits_are_known_by_their_words(text, split):
    assert split_name(text) == split


@pytest.mark.parametrize(
    "text",
    ["cat", "steam_train", "test tube", "trains", "value", "valley", "contest", "images", "2017", "",
     "devil", "evaluated", "①", "strain"],
)  # fmt: skip
def test_names_about_something_else_name_no_split(text):
    assert splits_named(text) == set()


def test_a_name_of_two_splits_names_both():
    assert splits_named("train_test") == {"train", "test"}
    assert split_name("train_test") is None


def test_folders_called_as_splits_of_one_thing_are_no_classes():
    assert split_pairs(["pets_train", "pets_test"])
    assert split_pairs(["Train Images", "validation-images"])
    assert not split_pairs(["steam_train", "cat"])
    assert not split_pairs(["steam_train", "model_train"])
    assert not split_pairs([])
