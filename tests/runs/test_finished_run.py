import csv
import os
import shutil
import types

import numpy as np
import pytest

from tests.conftest import Listener
from tlkit.data.dataset import Split
from tlkit.draft import source_of
from tlkit.errors import DataError
from tlkit.recipe.schema import Component
from tlkit.runs.evaluate import _like_the_run, _trained_on, evaluate_run
from tlkit.runs.predict import predict_files
from tlkit.runs.trained_run import load_trained_run


def test_evaluating_on_training_images_is_said(tiny_run, photos, tmp_path):
    figures = evaluate_run(tiny_run.folder, photos, tmp_path)
    with open(tiny_run.folder / "images.csv", newline="", encoding="utf-8") as file:
        train = sum(row["split"] == "train" for row in csv.DictReader(file))
    assert figures["trained_on"] == train > 30
    assert figures["files"] == {"files": 60, "used": {"test": 60}, "ignored": [], "broken": 0}


def test_a_list_with_other_columns_is_evaluated_and_checked(tiny_run, photos, tmp_path):
    rows = [f"{folder}/{k}.png;{folder};x\n" for folder in ("red", "green") for k in range(3)]
    (tmp_path / "list.csv").write_text("photo;what;more\n" + "".join(rows))
    given = ["source=manifest", "path_column=photo", "label_column=what", f"root={photos}"]
    figures = evaluate_run(tiny_run.folder, tmp_path / "list.csv", tmp_path, given=given)
    assert figures["images"] == 6
    assert {row["class"] for row in figures["per_class"] if row["images"]} == {"red", "green"}


def test_columns_of_the_run_s_own_list_are_taken(tiny_run, photos, tmp_path):
    run = load_trained_run(tiny_run.folder)
    columns = {"path_column": "photo", "label_column": "what"}
    run.recipe.data.source = Component("manifest", columns)
    (tmp_path / "list.csv").write_text("what,photo,label\nred,red/1.png,7\ngreen,green/1.png,8\n")
    given = _like_the_run(run, tmp_path / "list.csv", [f"root={photos}"])
    source = source_of(tmp_path / "list.csv", given)
    assert (source.arguments["path_column"], source.arguments["label_column"]) == ("photo", "what")
    assert source.arguments["root"] == str(photos)


def test_numbers_behind_the_data_are_numbers(photos):
    assert source_of(photos, ["depth=1"]).arguments["depth"] == 1


def test_predict_says_what_it_leaves_out_and_what_is_no_file(tiny_run, photos, tmp_path):
    folder = tmp_path / "new"
    shutil.copytree(photos / "red", folder)
    (folder / "notes.txt").write_text("of the day")
    os.mkfifo(folder / "pipe.png")
    os.symlink("loop.png", folder / "loop.png")
    said = []
    rows = list(predict_files(tiny_run.folder, [folder], 1, "keras", Listener(said)))
    assert said[0] == f"files: {len(rows) + 3}, {len(rows)} used, 3 ignored"
    assert any("notes.txt is text, no picture" in line for line in said)
    for name, reason in (
        ("pipe.png", "is a pipe"),
        ("loop.png", "cannot be read: Too many levels"),
    ):
        with pytest.raises(DataError, match=f"{name}: {reason}"):
            list(predict_files(tiny_run.folder, [folder / name], 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"other,columns\n1,2\n", "damaged"), (b"\xff\xfe", "damaged")],
)
def test_training_images_that_are_not_known_are_said(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "images.csv").write_bytes(content)
    given = types.SimpleNamespace(splits={"test": Split([], np.empty(0), [])}, notes=[])
    assert _trained_on(tmp_path, given) == 0
    (note,) = given.notes
    assert "is not known" in note and reason in note
