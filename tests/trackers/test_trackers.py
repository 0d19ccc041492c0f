"""What a run tells its trackers: once, whatever interrupts it, and whatever they do."""

import collections
import csv
import importlib.util
import json
import pathlib
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tlkit
from tlkit.errors import RecipeError, UserError
from tlkit.tasks.classification import Classification
from tlkit.train.interrupt import Interrupted
from tlkit.train.record import Recorder
from tlkit.train.tracking import Trackers

OWN = """
import json

from tlkit.trackers import Tracker


class Lines(Tracker):
    def __init__(self, file: str = "lines.jsonl"):
        self.file = file

    def began(self, recipe, folder):
        self.path = folder / self.file
        self.say("began", recipe["name"], recipe["finetune"]["stages"][0]["epochs"])

    def say(self, *what):
        with open(self.path, "a") as file:
            file.write(json.dumps(what) + "\\n")

    def trains(self, columns, step):
        self.say("trains", list(columns), step)

    def step(self, place, values):
        self.say("step", place.stage, place.epoch, place.step, values["loss"])

    def epoch(self, place, values):
        self.say("epoch", place.stage, place.epoch, place.step, values["val_loss"])

    def ended(self, result):
        self.say("ended", result["status"])


class Fails(Tracker):
    def __init__(self, at: str):
        self.at = at

    def __getattribute__(self, name):
        if name in ("began", "trains", "step", "epoch", "flush", "ended"):
            if object.__getattribute__(self, "at") == name:
                raise RuntimeError(f"no {name} today")
        return object.__getattribute__(self, name)


def no_tracker():
    return 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    name = f"tells_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def board(folder):
    """Steps of each series, as TensorBoard itself reads them."""
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {tag: [event.step for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def expect_once(folder, epochs, steps):
    """Every batch and epoch once, in the file and in TensorBoard."""
    told = rows(folder)
    count = epochs * steps
    batches = [int(row["step"]) for row in told if not row["val_loss"]]
    assert batches == list(range(count))
    assert [int(row["step"]) for row in told if row["val_loss"]] == [
        steps * (k + 1) for k in range(epochs)
    ]
    series = board(folder)
    assert series["step/loss"] == list(range(count))
    assert series["epoch/val_loss"] == [steps * (k + 1) - 1 for k in range(epochs)]


def test_a_run_is_told_from_its_beginning_to_its_end(recipe, own, tmp_path):
    recipe["trackers"] = [{f"{own}:Lines": {"file": "own.jsonl"}}]
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 2, "name": "head"}]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    told = [json.loads(line) for line in (run.folder / "own.jsonl").read_text().splitlines()]
    assert told[0] == ["began", "test", 2]
    assert told[1][0] == "trains" and told[1][1][:3] == ["stage", "epoch", "step"]
    assert told[1][2] == 0
    assert told[-1] == ["ended", "done"]
    # metrics.csv is written whatever the recipe lists, and says the same
    expected = [
        ["epoch" if row["val_loss"] else "step", row["stage"], int(row["epoch"]), int(row["step"])]
        for row in rows(run.folder)
    ]
    assert [line[:4] for line in told[2:-1]] == expected
    assert not (run.folder / "tensorboard").exists()
    assert (run.folder / "modules" / f"{own}.py").exists()
    # nor is it asked for where predictions are made
    (tmp_path / f"{own}.py").unlink()
    (run.folder / "modules" / f"{own}.py").write_text(OWN.replace("import json", "1 / 0"))
    from tlkit.runs.trained_run import load_trained_run

    assert load_trained_run(run.folder).classes == ["blue", "green", "red"]


def test_a_resumed_run_tells_nothing_twice(recipe, own, tmp_path, monkeypatch):
    recipe["trackers"] = ["tensorboard", f"{own}:Lines"]
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 3}]
    recipe["cache"] = "off"
    after = Recorder.on_train_batch_end

    def stop(self, batch, logs=None):
        after(self, batch, logs)
        if self.step == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "on_train_batch_end", stop)
    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    monkeypatch.setattr(Recorder, "on_train_batch_end", after)
    run = tlkit.resume(tmp_path / "run")
    steps = len([row for row in rows(run.folder) if not row["val_loss"]]) // 3
    assert steps > 5  # it was stopped in its second epoch
    expect_once(run.folder, 3, steps)
    told = [json.loads(line) for line in (run.folder / "lines.jsonl").read_text().splitlines()]
    assert [line[0] for line in told if line[0] not in ("step", "epoch")] == [
        "began", "trains", "ended", "began", "trains", "ended",
    ]  # fmt: skip
    assert [line[1] for line in told if line[0] == "ended"] == ["interrupted", "done"]
    went_on = told.index(next(line for line in told[3:] if line[0] == "trains"))
    assert told[went_on][2] == told[went_on + 1][3]


def test_what_is_told_again_takes_the_place_of_what_was(tmp_path):
    """As after a kill, or a rollback within the process."""
    for _ in range(2):
        recorder = Recorder(tmp_path, Classification.metric)
        recorder.set_params({"stage": "s", "epochs": 2})
        for epoch in range(2):
            recorder.on_epoch_begin(epoch)
            for _ in range(5):
                recorder.on_train_batch_end(0, {"loss": 1.0, "accuracy": 0.5})
            recorder.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0, "val_accuracy": 0.5})
        recorder.close()
    expect_once(tmp_path, 2, 5)
    recorder = Recorder(tmp_path, Classification.metric, 5)  # the first epoch's row stays
    recorder.set_params({"stage": "s", "epochs": 2})
    recorder.on_epoch_begin(1)
    for number in range(5):
        recorder.on_train_batch_end(0, {"loss": 1.0, "accuracy": 0.5})
        if number == 1:
            recorder.step = 6
            recorder.rewind()
    recorder.step = 10
    recorder.on_epoch_end(1, {"loss": 1.0, "val_loss": 2.0, "val_accuracy": 0.5})
    recorder.close()
    assert board(tmp_path)["step/loss"] == [*range(9)]
    assert board(tmp_path)["epoch/val_loss"] == [4, 9]


@pytest.mark.parametrize("at", ["trains", "step", "epoch", "flush", "ended"])
def test_a_tracker_that_fails_is_left_out_and_said(recipe, own, tmp_path, at):
    recipe["trackers"] = [{f"{own}:Fails": {"at": at}}, f"{own}:Lines"]
    with pytest.warns(UserWarning, match=rf"'{own}:Fails' fails .* RuntimeError: no {at} today"):
        run = tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None)
    assert run.result["status"] == "done"
    log = (run.folder / "trackers.log").read_text()
    assert log.count("RuntimeError: no") == 1 and "Traceback" in log
    assert "ended" in (run.folder / "lines.jsonl").read_text()


def test_one_that_does_not_begin_ends_the_run_before_anything_is_trained(recipe, own, tmp_path):
    recipe["trackers"] = [{f"{own}:Fails": {"at": "began"}}]
    with pytest.raises(UserError, match=r"Fails: does not begin: RuntimeError: no began today"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    recipe["trackers"] = [f"{own}:no_tracker"]
    with pytest.raises(UserError, match=r"gives 3; expected a tlkit\.trackers\.Tracker"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run2")


def test_a_failing_run_is_told_as_failed(recipe, own, tmp_path):
    recipe["trackers"] = [f"{own}:Lines"]
    recipe["finetune"]["class_weight"] = {"purple": 2.0}
    with pytest.raises(UserError, match="purple"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    told = (tmp_path / "run" / "lines.jsonl").read_text().splitlines()
    assert json.loads(told[-1]) == ["ended", "failed"]


def test_metrics_csv_ends_the_run_where_it_fails(tmp_path):
    trackers = Trackers([], tmp_path)
    trackers.trains(["stage", "epoch", "step", "loss", "val_loss"], 0)
    (one,) = trackers._told
    one.tracker.close()
    with pytest.raises(AttributeError):
        trackers.epoch(None, {})


def test_the_list_is_checked(recipe):
    from tlkit.recipe.load import load_recipe

    recipe["trackers"] = ["tensorbord"]
    with pytest.raises(RecipeError, match="Did you mean 'tensorboard'"):
        load_recipe(recipe)
    recipe["trackers"] = ["csv", "csv"]
    with pytest.raises(RecipeError, match="csv is listed more than once"):
        load_recipe(recipe)


HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None


@pytest.mark.skipif(HAS_MLFLOW, reason="MLflow is installed")
def test_mlflow_says_how_it_is_installed(recipe, tmp_path):
    recipe["trackers"] = ["mlflow"]
    with pytest.raises(UserError, match=r"not installed.*pip install 'tlkit\[mlflow\]'"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


@pytest.mark.skipif(not HAS_MLFLOW, reason="MLflow is not installed")
def test_mlflow_has_each_step_once_after_a_resume(recipe, tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    recipe["trackers"] = [{"mlflow": {"experiment": "colours", "uri": uri}}]
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 3}]
    recipe["cache"] = "off"
    after = Recorder.on_train_batch_end

    def stop(self, batch, logs=None):
        after(self, batch, logs)
        if self.step == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "on_train_batch_end", stop)
    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("colours").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["KILLED"]
    monkeypatch.setattr(Recorder, "on_train_batch_end", after)
    done = tlkit.resume(tmp_path / "run")
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED" and run.info.run_name == "test"
    assert run.data.params["model.backbone"] == "tiny"
    assert run.data.params["finetune.stages.0.epochs"] == "3"
    told = rows(done.folder)
    for name, kind in (("step/loss", False), ("epoch/val_loss", True)):
        history = client.get_metric_history(run.info.run_id, name)
        steps = [int(row["step"]) for row in told if bool(row["val_loss"]) == kind]
        assert sorted(metric.step for metric in history) == steps
        assert max(collections.Counter(metric.step for metric in history).values()) == 1
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["result.json"]
    assert pathlib.Path(done.folder / "mlflow.json").exists()
