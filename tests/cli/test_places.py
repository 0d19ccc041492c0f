"""Places that cannot be written to are found before the work is done."""

import pathlib

import pytest
from click.testing import CliRunner

from tlkit.cli.main import cli
from tlkit.errors import RunError
from tlkit.runs import check as checking
from tlkit.runs import workflow
from tlkit.runs.evaluate import evaluate_run
from tlkit.runs.export import export_run
from tlkit.runs.folder import try_to_write


@pytest.fixture
def no_place(tmp_path):
    """A path that cannot be a folder, not even for root."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def test_a_folder_is_made_and_left_empty(tmp_path):
    try_to_write(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_and_lr_find_try_the_place_first(no_place, photos, tmp_path, monkeypatch):
    def worked(*_, **__):
        raise AssertionError("the work was done first")

    monkeypatch.setattr(checking, "audit", worked)
    monkeypatch.setattr(workflow, "_prepared", worked)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: x\ndata: {{source: {{folder: {photos}}}, image_size: 32}}\n"
        "model: {backbone: tiny, weights: none}\nfinetune: {stages: [{policy: head-only, epochs: 1}]}\n"
    )
    for words in (
        ["check", str(photos), "--backbone", "none", "-o", str(no_place)],
        ["lr-find", str(recipe), "-o", str(no_place / "x.png")],
        ["compare", str(tmp_path), str(tmp_path), "-o", str(no_place / "x.html")],
    ):
        found = CliRunner().invoke(cli, words)
        assert isinstance(found.exception, RunError), (words, found.output, found.exception)
        assert "cannot be written to: Not a directory" in str(found.exception)


def test_evaluate_and_export_try_the_place_first(no_place, photos, tiny_run, monkeypatch):
    def worked(*_, **__):
        raise AssertionError("the work was done first")

    monkeypatch.setattr("tlkit.runs.evaluate.load_for_evaluation", worked)
    monkeypatch.setattr("tlkit.runs.export.load_dataset", worked)
    with pytest.raises(RunError, match="cannot be written to"):
        evaluate_run(tiny_run.folder, pathlib.Path(photos), no_place)
    with pytest.raises(RunError, match="cannot be written to"):
        export_run(tiny_run.folder, ["keras"], no_place)
    found = CliRunner().invoke(
        cli, ["predict", str(tiny_run.folder), str(photos), "-o", str(no_place / "x.csv")]
    )
    assert isinstance(found.exception, RunError)
