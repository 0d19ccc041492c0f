"""Nothing silent: numbers that explode, memory that ends, what must not move, figures and time."""

import csv
import io
import json
import math
import sys
import zlib

import keras
import numpy as np
import pytest
from rich.console import Console

import tlkit
from tlkit.cli.main import main
from tlkit.errors import RecipeError, RunFailed
from tlkit.recipe.load import load_recipe
from tlkit.recipe.schema import seconds
from tlkit.runs.export import export_run
from tlkit.train import loop as loops
from tlkit.train import lr_find
from tlkit.train.context import TimeBudget
from tlkit.train.step import Step


def rows(folder):
    with open(folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


def explode(monkeypatch, at, times=1):
    """The loss of some step is not a number, and its weights neither, the first times it is reached."""
    whole, left, calls = Step.__call__, [times], []

    def step(self, images, labels):
        calls.append(len(labels))
        is_sound = np.isfinite(np.asarray(self._trained[0])).all()
        loss, *others = np.asarray(whole(self, images, labels))
        if left[0] and len(calls) >= at and is_sound:
            left[0] -= 1
            self._trained[0].assign(self._trained[0] * np.nan)
            loss = np.nan
        return np.array([loss, *others])

    monkeypatch.setattr(Step, "__call__", step)


def test_a_loss_that_is_no_number_stops_and_names_the_images(recipe, tmp_path, monkeypatch):
    explode(monkeypatch, at=3)
    with pytest.raises(RunFailed, match=r"the loss became nan .* step 3.* Its images: .*\.png"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


def test_rolled_back_it_goes_on_from_the_saved_state_at_half_the_rate(
    recipe, tmp_path, monkeypatch
):
    recipe["finetune"]["stages"][0] |= {
        "epochs": 2, "optimizer": {"sgd": {"learning_rate": 0.1}}, "schedule": "constant",
    }  # fmt: skip
    recipe["finetune"]["on_nan"] = "rollback"
    recipe["checkpoint"] = {"every": "2 steps"}
    explode(monkeypatch, at=10, times=2)
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    (stage,) = run.result["stages"]
    assert [item["step"] for item in stage["rollbacks"]] == [3, 3]
    steps = [row for row in rows(run.folder) if not row["val_loss"]]
    assert [int(row["step"]) for row in steps] == list(range(len(steps)))
    rates = [float(row["learning_rate"]) for row in steps]
    # seven steps an epoch; the tenth was taken back to the state behind the ninth, twice
    np.testing.assert_allclose(rates, [0.1] * 9 + [0.025] * 5)
    assert all(np.isfinite(float(row["loss"])) for row in rows(run.folder))


def test_rolled_back_halving_on_plateau_keeps_its_rate_and_halves_it(recipe, tmp_path, monkeypatch):
    recipe["finetune"]["stages"][0] |= {
        "epochs": 2,
        "optimizer": {"sgd": {"learning_rate": 0.1}},
        "schedule": {"halve_on_plateau": {"patience": 5}},
    }
    recipe["finetune"]["on_nan"] = "rollback"
    monkeypatch.setattr("tlkit.train.loop.SAVING_SHARE", math.inf)  # short epochs are saved too
    explode(monkeypatch, at=8, times=2)
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    rates = [float(row["learning_rate"]) for row in rows(run.folder) if not row["val_loss"]]
    np.testing.assert_allclose(rates, [0.1] * 7 + [0.025] * 7)


def test_after_three_rollbacks_it_ends(recipe, tmp_path, monkeypatch):
    recipe["finetune"]["on_nan"] = "rollback"
    explode(monkeypatch, at=2, times=9)
    with pytest.raises(RunFailed, match="rolled back 3 times"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


def full(recipe, **stage):
    recipe["finetune"]["stages"] = [{"policy": "full", "epochs": 1, **stage}]
    return recipe


def refuse_whole_batches(monkeypatch):
    """Memory that is too small for a whole batch; gives the sizes that were refused."""
    import tensorflow as tf

    once, refused = Step.__call__, []

    def small(self, images, labels):
        if self.micro_batch is None:
            refused.append(len(labels))
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return once(self, images, labels)

    monkeypatch.setattr(Step, "__call__", small)
    return refused


def test_a_batch_in_parts_gives_the_same_weights(recipe, tmp_path, monkeypatch):
    """GroupNorm and no dropout, so that no image sees another and nothing is drawn."""
    given = full(recipe, optimizer={"sgd": {"learning_rate": 0.05}})
    given["model"]["head"] = {"linear": {"dropout": 0.0}}
    whole = tlkit.finetune(given, run_dir=tmp_path / "whole")
    refused = refuse_whole_batches(monkeypatch)
    parts = tlkit.finetune(given, run_dir=tmp_path / "parts")
    assert refused
    assert parts.result["stages"][0]["micro_batch"] == 4
    for a, b in zip(rows(whole.folder), rows(parts.folder), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-5)
        assert float(a["gradient_norm"] or 0) == pytest.approx(
            float(b["gradient_norm"] or 0), rel=1e-3
        )
    for a, b in zip(*(_weights(run) for run in (whole, parts)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def out_of_memory(*_, **__):
    import tensorflow as tf

    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor[9]\nmore")


def test_a_sweep_whose_batch_does_not_fit_is_taken_in_parts(recipe, tmp_path, monkeypatch):
    """And what it found to fit is kept for the stage behind it."""
    given = full(recipe, optimizer={"sgd": {"learning_rate": "auto"}})
    monkeypatch.setattr(lr_find.sweep_rates, "__defaults__", (1e-5, 1e-1, 12))
    refuse_whole_batches(monkeypatch)
    console = Console(record=True, width=300, file=io.StringIO())
    found = tlkit.finetune(given, run_dir=tmp_path / "run", console=console)
    assert console.export_text().count("out of memory: each batch of 8") == 1
    (stage,) = found.result["stages"]
    assert stage["micro_batch"] == 4
    assert 1e-5 <= stage["learning_rate"] <= 1e-1


@pytest.mark.parametrize("command", ["lr-find", "babysit", "plan --profile"])
def test_memory_that_ends_in_steps_is_one_sentence(recipe, tmp_path, monkeypatch, capfd, command):
    monkeypatch.chdir(tmp_path)
    given = full(recipe)
    (tmp_path / "r.yaml").write_text(json.dumps(given))
    monkeypatch.setattr(Step, "__call__", out_of_memory)
    name, *options = command.split()
    said = spoken(monkeypatch, capfd, [name, "r.yaml", *options])
    assert "error: out of memory in stage 'full' with a batch of 1 images. Take a smaller" in said


def spoken(monkeypatch, capfd, arguments):
    """What a command says as it fails."""
    monkeypatch.setattr(sys, "argv", ["tlkit", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capfd.readouterr().err
    assert end.value.code == 1 and "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("command", "broken"),
    [
        ("finetune", "tlkit.train.loop.predict_outputs"),
        ("evaluate", "tlkit.steps.logits_of"),
        ("predict", "tlkit.runs.trained_run.TrainedRun.forward"),
        ("export", "tlkit.steps.logits_of"),
        ("rank", "tlkit.embed.frozen_features"),
        ("check", "tlkit.embed.frozen_features"),
    ],
)
def test_memory_that_ends_anywhere_is_one_sentence(
    recipe, tiny_run, photos, tmp_path, monkeypatch, capfd, command, broken
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    monkeypatch.setattr(broken, out_of_memory)
    name, *options = command.split()
    given = {
        "evaluate": [tiny_run.folder, photos],
        "predict": [tiny_run.folder, photos],
        "export": [tiny_run.folder, "--format", "saved_model", "--output", tmp_path / "out"],
        "rank": [photos, "--backbones", "tiny"],
        "check": [photos, "--backbone", "tiny"],
    }.get(name, ["r.yaml"])
    if name == "check":
        # one of many things that are looked at
        monkeypatch.setattr(sys, "argv", ["tlkit", *map(str, [name, *given])])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr().out
        assert end.value.code == 0
        assert "labels and outliers: out of memory: OOM when allocating tensor[9]." in said
        return
    said = spoken(monkeypatch, capfd, [name, *given, *options])
    assert "out of memory: OOM when allocating tensor[9]." in said
    assert name == "rank" or "Take a smaller image_size" in said


def _weights(run):
    return [np.asarray(w) for w in keras.models.load_model(run.folder / "model.keras").weights]


def test_without_rescue_memory_that_ends_is_an_error(recipe, tmp_path, monkeypatch):
    import tensorflow as tf

    def none(self, images, labels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    monkeypatch.setattr(Step, "__call__", none)
    recipe["finetune"]["out_of_memory"] = "fail"
    with pytest.raises(RunFailed, match=r"out of memory in stage .* batch of 8"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


def touch(monkeypatch, change):
    """Changes the network behind the loop's back in the middle of a stage."""
    after = loops.StageLoop._remember

    def remember(self, logs):
        change(self.context.network, self.plan)
        after(self, logs)

    monkeypatch.setattr(loops.StageLoop, "_remember", remember)


@pytest.mark.parametrize(
    ("backbone", "kind"), [("tiny", "kernel"), ("mobilenet_v2", "moving_mean")]
)
def test_what_is_frozen_and_changes_stops_the_run(recipe, tmp_path, monkeypatch, backbone, kind):
    recipe["model"] = {"backbone": backbone, "weights": "none"}
    if backbone == "mobilenet_v2":
        recipe["model"]["arguments"] = {"alpha": 0.35}
    paths = []

    def change(network, plan):
        (v, *_) = [v for b in network.blocks for v in b.variables() if v.name == kind]
        paths.append(v.path)
        v.assign(v + 1e-6)

    touch(monkeypatch, change)
    with pytest.raises(RunFailed, match="in which it is frozen") as error:
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert paths[0] in str(error.value)
    recipe["finetune"]["guard"] = False
    tlkit.finetune(recipe, run_dir=tmp_path / "other")


def test_what_trains_and_gets_no_gradient_stops_the_run(recipe, tmp_path, monkeypatch):
    gradients = Step._gradients

    def cut_off(self, images, targets):
        found, loss, right = gradients(self, images, targets)
        cut = [v.path.endswith("stage2_block1_conv1/kernel") for v in self._trained]
        assert any(cut)
        return [g * 0 if c else g for g, c in zip(found, cut, strict=True)], loss, right

    monkeypatch.setattr(Step, "_gradients", cut_off)
    with pytest.raises(RunFailed, match=r"conv1/kernel did not move in stage 'full', in which"):
        tlkit.finetune(full(recipe), run_dir=tmp_path / "run")


def test_gradients_too_small_to_move_anything_are_said_and_no_more(recipe, tmp_path):
    console = Console(record=True, width=300, file=io.StringIO())
    given = full(recipe, optimizer={"adam": {"learning_rate": 1e-10}})
    tlkit.finetune(given, run_dir=tmp_path / "run", console=console)
    assert "their gradients are too small for the learning rate" in console.export_text()


def test_the_guard_remembers_the_beginning_across_a_kill(recipe, tmp_path, monkeypatch):
    """What was changed while the process was not there is found too."""
    recipe["finetune"]["stages"][0]["epochs"] = 2
    end = loops.StageLoop.save

    def stop(self):
        end(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(loops.StageLoop, "save", stop)
    from tlkit.train.interrupt import Interrupted

    with pytest.raises(Interrupted):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    monkeypatch.setattr(loops.StageLoop, "save", end)
    file = tmp_path / "run" / "checkpoints" / "state.npz"
    with np.load(file) as saved:
        arrays = dict(saved)
    state = json.loads(arrays["state"].tobytes())
    changed = None
    for name, value in arrays.items():
        if name.startswith("model/") and zlib.crc32(value.tobytes()) in state["guard"].values():
            changed = changed or name
    arrays[changed] = arrays[changed] + np.float32(0.5)
    np.savez(file, **arrays)
    with pytest.raises(RunFailed, match="is frozen"):
        tlkit.resume(tmp_path / "run")


def test_below_what_is_required_it_fails_reports_and_exports_nothing(recipe, tmp_path):
    recipe["require"] = {"val_accuracy": 0.1, "worst_recall": 1.0, "loss": 1e-6}
    recipe["export"] = ["saved_model"]
    with pytest.raises(
        RunFailed, match=r"worst_recall is .*at least 1.*; loss is .* at most 1e-06"
    ):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "below requirement" and not result["export"]
    assert (tmp_path / "run" / "report.html").exists()
    assert not (tmp_path / "run" / "export").exists()
    with pytest.raises(RunFailed, match="not exported"):
        export_run(tmp_path / "run", ["saved_model"], None, None)
    recipe["require"] = {"val_accuracy": 0.0}
    assert tlkit.finetune(recipe, run_dir=tmp_path / "other").result["status"] == "done"


def test_a_time_budget_ends_training_early_and_cleanly(recipe, tmp_path, monkeypatch):
    """By a clock that goes on by a second whenever it is asked, which is before every step."""
    asked = []

    def used(self):
        asked.append(1)
        return float(len(asked))

    monkeypatch.setattr(TimeBudget, "used", used)
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 100_000},
        {"policy": "full", "epochs": 5},
    ]
    recipe["time_budget"] = "120 s"
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert len(asked) < 120  # and 20 of them are left for what follows
    (stage,) = run.result["stages"]
    assert 5 < stage["epochs"] < 20
    assert len([row for row in rows(run.folder) if row["val_loss"]]) == stage["epochs"]
    assert run.result["status"] == "done"


def test_a_time_budget_too_short_for_anything_says_so(recipe, tmp_path):
    recipe["time_budget"] = "1 s"
    with pytest.raises(RunFailed, match="time_budget 1 s was over before"):
        tlkit.finetune(recipe, run_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30 min", 1800), ("30 minutes", 1800), ("1.5 hours", 5400), ("90s", 90), ("soon", None)],
)
def test_times_are_read(text, expected):
    assert seconds(text) == expected


def test_a_time_that_is_none_is_refused(recipe):
    with pytest.raises(RecipeError, match="30 minutes"):
        load_recipe({**recipe, "time_budget": 30})
