"""A run that was killed ends as one that was not."""

import csv
import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading

import numpy as np
import pytest

import tlkit
from tlkit.errors import RecipeError, RunError, RunFailed
from tlkit.recipe.load import load_recipe
from tlkit.tasks.classification import Classification
from tlkit.train import state as states
from tlkit.train.interrupt import Interrupted, Stops
from tlkit.train.loop import StageLoop
from tlkit.train.record import Recorder
from tlkit.train.state import TrainState, earlier, load_state, save_state

# children start with what takes long imported already
PROCESS = multiprocessing.get_context("forkserver")
PROCESS.set_forkserver_preload(["tensorflow", "keras", "tlkit.train.loop", "tlkit.model"])


def staged(recipe):
    """Features computed once, then everything with accumulation, averages and augmentation."""
    recipe["deterministic"] = True
    recipe["checkpoint"] = {"every": "3 steps"}
    recipe["model"]["head"] = {"linear": {"dropout": 0.3}}
    recipe["finetune"]["ema"] = {"momentum": 0.9}
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 3},
        {"policy": "full", "epochs": 2, "augment": ["flip"], "gradient_accumulation_steps": 2},
    ]
    return recipe


def metrics(folder):
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    return [
        {k: v for k, v in row.items() if k not in ("images_per_second", "data_wait")}
        for row in rows
    ]


def weights(folder):
    with np.load(folder / "checkpoints" / "state.npz") as file:
        return {name: file[name] for name in file.files if name.startswith(("model", "best"))}


def assert_same(one, other, leave_out=()):
    rows = [metrics(folder) for folder in (one, other)]
    for row in rows[0] + rows[1]:
        for key in leave_out:
            del row[key]
    assert rows[0] == rows[1]
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


def _start(recipe, folder, cache):
    os.environ["TLKIT_CACHE"] = str(cache)
    os.chdir(cache)
    if (folder / "result.json").exists() and is_done(folder):
        return
    if (folder / "resolved.yaml").exists():
        tlkit.resume(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # killed before there was anything
        tlkit.finetune(recipe, run_dir=folder)


def is_done(folder):
    return json.loads((folder / "result.json").read_text())["status"] == "done"


@pytest.mark.slow
def test_killed_twenty_times_it_ends_in_the_same_bits(recipe, tmp_path):
    given = staged(recipe)

    def run(name, seconds=None):
        (tmp_path / f"{name}-cache").mkdir(exist_ok=True)
        child = PROCESS.Process(
            target=_start, args=(given, tmp_path / name, tmp_path / f"{name}-cache")
        )
        child.start()
        child.join(seconds)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        return child.exitcode

    assert run("whole") == 0
    rng, kills, number = np.random.default_rng(0), 0, 0
    while kills < 20:
        code = run(f"cut{number}", float(rng.uniform(0.5, 5)))
        if code == -signal.SIGKILL:
            kills += 1
            continue
        assert code == 0  # it came to its end in time: the next is begun
        assert_same(tmp_path / "whole", tmp_path / f"cut{number}")
        number += 1
    assert run(f"cut{number}") == 0
    assert_same(tmp_path / "whole", tmp_path / f"cut{number}")


def _stop_in_a_step(recipe, folder, cache, number):
    """In a process of its own: a signal after the 25th update, before its row is written."""
    after = Recorder.on_train_batch_end

    def hit(self, batch, logs=None):
        if self.step == 25:
            signal.raise_signal(number)
        after(self, batch, logs)

    Recorder.on_train_batch_end = hit
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    before = signal.getsignal(number)
    try:
        _start(recipe, folder, cache)
    except Interrupted:
        os._exit(7 if signal.getsignal(number) == before else 8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_and_its_count(recipe, tmp_path, number):
    """All in processes of their own: what ran here before may have set other kernels."""
    given = staged(recipe)
    given["deterministic"] = False

    def run(target, name, *more):
        (tmp_path / "cache").mkdir(exist_ok=True)
        child = PROCESS.Process(
            target=target, args=(given, tmp_path / name, tmp_path / "cache", *more)
        )
        child.start()
        child.join()
        return child.exitcode

    assert run(_start, "whole") == 0
    assert run(_stop_in_a_step, "cut", number) == 7
    assert run(_start, "cut") == 0
    # summed by several threads, its last digit is not the same in every run
    assert_same(tmp_path / "whole", tmp_path / "cut", ["gradient_norm"])


def test_a_signal_outside_of_a_step_stops_at_once():
    assert threading.current_thread() is threading.main_thread()  # or nothing listens
    stops = Stops()
    with stops.listening(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    done = []
    with stops.listening(), pytest.raises(KeyboardInterrupt), stops.held():
        signal.raise_signal(signal.SIGTERM)
        done.append(1)
    assert done == [1]


@pytest.mark.parametrize(
    ("form", "policy"), [("bfloat16", "full"), ("float16", {"last-blocks": 1})]
)
def test_in_mixed_precision_it_goes_on_too(recipe, tmp_path, monkeypatch, form, policy):
    """Stopped behind the second saved state of the second epoch, with a loss scale that grows."""
    recipe |= {"deterministic": True, "checkpoint": {"every": "3 steps"}}
    recipe["finetune"] |= {"mixed_precision": form, "stages": [{"policy": policy, "epochs": 2}]}
    tlkit.finetune(recipe, run_dir=tmp_path / "whole")
    save, calls = StageLoop.save, []

    def stop(self):
        save(self)
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageLoop, "save", stop)
        with pytest.raises(Interrupted):
            tlkit.finetune(recipe, run_dir=tmp_path / "cut")
    tlkit.resume(tmp_path / "cut")
    assert_same(tmp_path / "whole", tmp_path / "cut")


def saved(path, epoch):
    save_state(path, TrainState(epoch=epoch), {"model": [np.arange(1000.0) + epoch]})


@pytest.mark.parametrize("harm", ["cut short", "flipped"])
def test_of_a_damaged_state_the_one_before_is_used_and_it_is_said(tmp_path, harm):
    path = tmp_path / "checkpoints" / "state.npz"
    for epoch in range(3):
        saved(path, epoch)
    assert sorted(p.name for p in path.parent.iterdir()) == ["state-before.npz", "state.npz"]
    whole = path.read_bytes()
    path.write_bytes(
        whole[:-200] if harm == "cut short" else whole[:600] + b"\xff\xff" + whole[602:]
    )
    said = []
    state, arrays = load_state(path, said.append)
    assert state.epoch == 1
    assert arrays["model"][0][0] == 1
    assert "is damaged" in said[0]
    assert said[0].endswith("going on from the state before it")
    earlier(path).write_bytes(b"")
    with pytest.raises(RunError, match="its saved state is damaged"):
        load_state(path, said.append)


def test_a_state_that_cannot_be_read_now_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "run" / "checkpoints" / "state.npz"
    saved(path, 1)
    saved(path, 2)

    def hiccup(_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(states.np, "load", hiccup)
        with pytest.raises(RunError, match="cannot be read: Input/output error"):
            load_state(path, print)
    assert load_state(path, print)[0].epoch == 2  # and not 1


def test_a_rollback_passes_over_a_damaged_state(tmp_path):
    path = tmp_path / "run" / "checkpoints" / "state.npz"
    saved(path, 1)
    saved(path, 2)
    path.write_bytes(b"PK\x03\x04")
    assert states.good_state(path)[0].epoch == 1
    earlier(path).write_bytes(b"")
    with pytest.raises(RunFailed, match="no whole state"):
        states.good_state(path)


def test_a_full_disk_leaves_the_state_before_whole(tmp_path, monkeypatch):
    path = tmp_path / "run" / "checkpoints" / "state.npz"
    saved(path, 4)

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(states.np, "savez", full)
    with pytest.raises(
        RunFailed, match=r"the disk is full.*Make room, then: tlkit finetune --resu"
    ):
        saved(path, 5)
    assert load_state(path, print)[0].epoch == 4
    assert [p.name for p in path.parent.iterdir()] == ["state.npz"]


def test_a_row_without_its_end_is_dropped(tmp_path):
    rows = "stage,epoch,step,learning_rate,loss,accuracy,val_loss,val_accuracy,images_per_second\n"
    (tmp_path / "metrics.csv").write_text(rows + "a,1,11,0.1,1,1,,,\na,1,12,0.1,1,1,,,\na,1,1")
    Recorder(tmp_path, Classification.metric, 12).close()
    assert [row["step"] for row in metrics(tmp_path)] == ["11"]


def test_how_often_is_checked_and_kept(recipe, tmp_path, monkeypatch):
    times, save = [], StageLoop.save

    def noted(self):
        save(self)
        times.append(self.state.batch)

    monkeypatch.setattr(StageLoop, "save", noted)
    recipe["checkpoint"] = {"every": "2 steps"}
    tlkit.finetune(recipe, run_dir=tmp_path / "a")
    assert times == [2, 4, 6, 0]  # 7 steps, then the epoch's end
    times.clear()
    recipe["checkpoint"] = {"every": "epoch"}
    tlkit.finetune(recipe, run_dir=tmp_path / "b")
    assert times == [0]
    recipe["checkpoint"] = {"every": "2 hours"}
    with pytest.raises(RecipeError, match="`500 steps` or `10 minutes`"):
        load_recipe(recipe)
