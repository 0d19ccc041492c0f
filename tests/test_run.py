import os
import pathlib
import threading

import pytest

from tlkit import run as runs
from tlkit.errors import RunError
from tlkit.paths import expanded, legible


def started_together(count, start):
    """What `start` gave or raised in each of many threads that began in the same moment."""
    barrier, found = threading.Barrier(count), []

    def one():
        barrier.wait()
        try:
            found.append(start())
        except RunError as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_runs_that_start_together_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = started_together(20, lambda: runs.new_run_folder("pets", None))
    assert len(set(folders)) == 20
    assert all(folder.is_dir() for folder in folders)
    assert (tmp_path / "runs" / "latest").resolve() in {folder.resolve() for folder in folders}


def test_one_of_those_that_name_the_same_folder_gets_it(tmp_path):
    found = started_together(20, lambda: runs.new_run_folder("pets", tmp_path / "run"))
    assert found.count(tmp_path / "run") == 1
    assert sum("is not empty" in str(item) for item in found) == 19


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        runs.new_run_folder("pets", tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_tilde_is_the_home_only_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert expanded("~/data") == tmp_path / "data"
    assert expanded("~no-such-user/x.png") == pathlib.Path("~no-such-user/x.png")
    (tmp_path / "~root").mkdir()
    assert expanded("~root") == pathlib.Path("~root")


def test_names_that_are_no_utf_8_can_be_shown():
    assert legible(os.fsdecode(b"caf\xe9.png")) == r"caf\xe9.png"
    assert legible("café") == "café"
