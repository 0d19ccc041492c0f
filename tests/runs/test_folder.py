import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from tlkit.errors import RunError
from tlkit.paths import expanded, legible
from tlkit.runs import folder as run_folder
from tlkit.runs import workflow


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


@pytest.fixture
def taken():
    """Takes a folder as a run does, and holds it until the test ends."""
    with contextlib.ExitStack() as held:
        yield lambda folder: held.enter_context(run_folder.new_run_folder("pets", folder))


def test_runs_that_start_together_have_a_folder_each(tmp_path, monkeypatch, taken):
    monkeypatch.chdir(tmp_path)
    folders = started_together(20, lambda: taken(None))
    assert len(set(folders)) == 20
    assert all(folder.is_dir() for folder in folders)
    assert (tmp_path / "runs" / "latest").resolve() in {folder.resolve() for folder in folders}


def test_one_of_those_that_name_the_same_folder_gets_it(tmp_path, taken):
    found = started_together(20, lambda: taken(tmp_path / "run"))
    assert found.count(tmp_path / "run") == 1
    assert sum("is in use by another" in str(item) for item in found) == 19


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"), run_folder.new_run_folder("pets", tmp_path):
        pass
    assert os.listdir(tmp_path) == ["notes.txt"]


KILLED = """
import os, signal, sys
from tlkit.runs import folder as run_folder
from tlkit.runs import workflow
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "taken":
    with run_folder.new_run_folder("pets", sys.argv[1]):
        kill()
setattr(*{"copied": (run_folder, "recipe_yaml"), "begun": (workflow, "_guarded")}[sys.argv[2]], kill)
workflow.finetune(sys.argv[3], run_dir=sys.argv[1])
"""


@pytest.mark.parametrize("when", ["taken", "copied", "begun"])
def test_what_a_killed_run_leaves_is_taken_again_or_can_be_continued(
    tmp_path, recipe, when, taken, monkeypatch
):
    file, folder = tmp_path / "r.yaml", tmp_path / "run"
    file.write_text(json.dumps(recipe))
    arguments = [sys.executable, "-c", KILLED, str(folder), when, str(file)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert (folder / ".lock").exists()
    if when == "begun":  # there is something to continue, and the hint says so
        with pytest.raises(RunError, match=r"is not empty.*--resume"):
            taken(folder)
        monkeypatch.setattr(
            workflow, "_straight_way", lambda start, _: (start.recipe.name, start.folder)
        )
        assert workflow.resume(folder) == ("test", folder)
    else:
        assert taken(folder) == folder
        with pytest.raises(RunError, match="is in use"):
            taken(folder)


def test_a_recipe_of_the_users_own_is_not_what_a_run_left(tmp_path):
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(RunError, match="is not empty"), run_folder.new_run_folder("pets", tmp_path):
        pass


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
