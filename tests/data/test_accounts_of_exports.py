"""Layouts and exports in which files would be dropped, or classes invented, without a word."""

import json
import os
import pathlib

import pytest
from PIL import Image

from tlkit.data.read_source import read_records
from tlkit.draft import source_of
from tlkit.errors import DataError

TASK = {"id": 1, "data": {"image": "1.jpg"}}


def _pictures(folder: pathlib.Path, *stems: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        Image.new("RGB", (8, 8), (len(stem), 0, 0)).save(folder / f"{stem}.jpg")


def test_all_files_of_a_folder_with_a_list_are_accounted_for(tmp_path):
    """A competition's folder: the test pictures and the other tables are ignored, and said to be."""
    _pictures(tmp_path / "train", "a1", "a2", "b1", "b2")
    _pictures(tmp_path / "test", "t1", "t2")
    (tmp_path / "train.csv").write_text("id,breed\na1,cat\na2,cat\nb1,dog\nb2,dog\n")
    (tmp_path / "sample_submission.csv").write_text("id,cat,dog\nt1,.5,.5\nt2,.5,.5\n")
    data = read_records(source_of(tmp_path))
    assert len(data.records) == 4
    assert {item.name for item in data.ignored} == {
        "test/t1.jpg", "test/t2.jpg", "train.csv", "sample_submission.csv",
    }  # fmt: skip
    files = sum(len(names) for _, _, names in os.walk(tmp_path))
    assert len(data.records) + len(data.ignored) == files


@pytest.mark.parametrize("annotations", [[None], [{"result": [7]}], {"a": 1}, [{"result": 7}], 5])
def test_tasks_of_another_kind_are_refused_in_a_sentence(tmp_path, annotations):
    _pictures(tmp_path, "1")
    (tmp_path / "r.json").write_text(json.dumps([{**TASK, "annotations": annotations}]))
    with pytest.raises(DataError, match="Label Studio"):
        read_records(source_of(tmp_path, ["source=label_studio", f"path={tmp_path / 'r.json'}"]))


def test_a_choice_that_is_no_list_is_one_class_and_not_its_letters(tmp_path):
    _pictures(tmp_path, "1")
    choice = {"type": "choices", "value": {"choices": "cat"}}
    task = {**TASK, "annotations": [{"result": [choice]}]}
    (tmp_path / "r.json").write_text(json.dumps([task]))
    records = read_records(source_of(tmp_path / "r.json")).records
    assert [record.label for record in records] == ["cat"]


def test_an_object_is_no_class(tmp_path):
    _pictures(tmp_path, "1", "2")
    rows = [{"path": f"{i}.jpg", "label": {"name": "cat"}} for i in (1, 2)]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="is an object, not the name of a class"):
        read_records(source_of(tmp_path / "l.jsonl"))


def test_captions_are_not_taken_for_classes(tmp_path):
    stems = [str(i) for i in range(12)]
    _pictures(tmp_path / "train", *stems)
    rows = "".join(f"{i}.jpg,a cat on {i} mats\n" for i in stems)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text\n" + rows)
    with pytest.raises(DataError, match=r"is called as classes are: file_name, text"):
        source_of(tmp_path)
