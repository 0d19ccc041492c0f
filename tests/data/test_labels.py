import hypothesis
import pytest
from hypothesis import strategies

from tlkit.data.labels import labels_text, parse_labels, read_labels

NASTY = [
    "red\napple",
    "a\u2028b",
    "c\r",
    "\ufefffirst",
    "back\\slash\\n",
    " x ",
    "é",
    "\udcff",
    "\x85",
]


@pytest.mark.parametrize("classes", [["cat", "dog"], NASTY, NASTY[::-1]])
def test_names_come_back_from_a_file_as_they_were(tmp_path, classes):
    (tmp_path / "labels.txt").write_text(labels_text(classes), "utf-8")
    assert read_labels(tmp_path / "labels.txt") == classes


@hypothesis.given(strategies.lists(strategies.text(strategies.characters(), min_size=1)))
@hypothesis.settings(deadline=None)
def test_every_text_is_one_line_for_every_reader_of_lines(classes):
    text = labels_text(classes)
    assert len(text.splitlines()) == len(text.split("\n")) - 1 == len(classes)
    text.encode("utf-8")
    assert parse_labels(text) == classes


def test_ordinary_names_stand_as_they_are():
    assert labels_text(["cat", "日本", "a b"]) == "cat\n日本\na b\n"


def test_a_file_that_another_editor_saved_reads_the_same():
    assert parse_labels("\ufeffcat\r\ndog\r\n") == ["cat", "dog"]
    assert parse_labels("cat\ndog") == ["cat", "dog"]
