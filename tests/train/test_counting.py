"""Updates, not batches, are what schedules, averages, measurements and sweeps go by."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlkit
from tlkit.recipe.schema import Component
from tlkit.tasks.classification import Classification
from tlkit.train.ema import WeightAverage
from tlkit.train.interrupt import Interrupted
from tlkit.train.record import Recorder
from tlkit.train.regularize import Regularization
from tlkit.train.step import Objective, Step, make_loss

NONE = Regularization([], [], [], lambda: None)


def rows(folder, epochs=False):
    with open(folder / "metrics.csv") as file:
        return [row for row in csv.DictReader(file) if bool(row["val_loss"]) == epochs]


def accumulating(recipe, by, **stage):
    """Seven batches an epoch."""
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "optimizer": {"sgd": {"learning_rate": 0.1}},
         "gradient_accumulation_steps": by, **stage}
    ]  # fmt: skip
    return recipe


def test_a_schedule_runs_over_all_updates_and_to_their_end(recipe, tmp_path):
    run = tlkit.finetune(
        accumulating(recipe, 4, epochs=6, schedule="cosine"), run_dir=tmp_path / "run"
    )
    steps = rows(run.folder)
    assert len(steps) == 42
    expected = [0.05 * (1 + np.cos(np.pi * (k // 4) / 10)) for k in range(42)]
    got = [float(row["learning_rate"]) for row in steps]
    np.testing.assert_allclose(got[:40], expected[:40], rtol=1e-5, atol=1e-7)
    assert max(got[40:]) < 1e-7  # two batches that no update follows
    assert [int(row["update"]) for row in steps] == [(k + 1) // 4 for k in range(42)]


def test_accumulation_is_one_update_with_the_mean_gradient(recipe, tmp_path):
    """Of the whole training set: seven batches accumulated, or one of seven times the size."""
    recipe["model"]["head"] = {"linear": {"dropout": 0.0}}
    recipe["data"]["split"] = {"val": 0.1, "test": 0.0}
    given = accumulating(recipe, 7, epochs=2, schedule="constant")
    parts = tlkit.finetune(given, run_dir=tmp_path / "parts")
    images = sum(int(row["update"]) == 0 for row in rows(parts.folder)) + 1
    assert images == 7
    ratios = [float(row["update_ratio/head"]) for row in rows(parts.folder, epochs=True)]
    assert all(ratio > 0 for ratio in ratios)


def small_step(optimizer, average_momentum=0.9):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    objective = Objective(
        Classification(list("abc")),
        make_loss(Component("cross_entropy", {}), np.array([1, 1, 1])),
        np.ones(3, "float32"),
        NONE,
    )
    variables = model.trainable_variables
    optimizer.build(variables)
    average = WeightAverage(variables, average_momentum)
    return model, average, Step(model, objective, [], optimizer, variables, average=average)


def follow(model, average, step, batches):
    """After each batch: whether the weights moved, and whether the average is by the formula."""
    rng = np.random.default_rng(0)
    expected, t, moved = np.array(model.get_weights()[0]), 0, []
    for scale in batches:
        before = model.get_weights()[0]
        images = tf.constant(rng.normal(size=(8, 4)).astype("float32") * scale)
        step(images, tf.constant(rng.integers(0, 3, 8).astype("int32")))
        now = model.get_weights()[0]
        moved.append(not np.array_equal(before, now))
        if moved[-1]:
            momentum = min(0.9, (1 + t) / (10 + t))
            expected, t = momentum * expected + (1 - momentum) * now, t + 1
        np.testing.assert_allclose(average.averages[0], expected, rtol=1e-5, atol=1e-7)
    assert float(average.updates) == t
    return moved


def test_weights_are_averaged_once_an_update():
    optimizer = keras.optimizers.SGD(0.5, gradient_accumulation_steps=3)
    moved = follow(*small_step(optimizer), [1.0] * 8)
    assert moved == [False, False, True, False, False, True, False, False]


def test_an_update_that_loss_scaling_skips_is_not_averaged():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    moved = follow(*small_step(optimizer), [1.0, 1e36, 1.0])
    assert moved == [True, False, True]


def test_accumulation_under_loss_scaling_counts_what_was_not_skipped():
    inner = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
    optimizer = keras.optimizers.LossScaleOptimizer(inner)
    moved = follow(*small_step(optimizer), [1.0, 1e36, 1.0, 1.0, 1.0])
    assert moved == [False, False, True, False, True]


def test_a_sweep_changes_the_rate_once_an_update(recipe, tmp_path, monkeypatch):
    seen = []
    whole = Step.__call__

    def spy(self, images, labels):
        seen.append(float(self._optimizer.learning_rate))
        return whole(self, images, labels)

    monkeypatch.setattr(Step, "__call__", spy)
    auto = {"sgd": {"learning_rate": "auto"}}
    given = accumulating(recipe, 3, epochs=1, optimizer=auto, schedule="constant")
    tlkit.finetune(given, run_dir=tmp_path / "run")
    sweep = seen[:-7]
    assert len(sweep) % 3 == 0 and len(sweep) >= 30
    assert [sweep[k] == sweep[k - 1] for k in range(1, len(sweep))] == [
        k % 3 != 0 for k in range(1, len(sweep))
    ]


def interrupt(monkeypatch, at):
    original = Recorder.on_train_batch_end

    def press(self, batch, logs=None):
        original(self, batch, logs)
        if self.step == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "on_train_batch_end", press)


def test_a_solved_stage_takes_no_steps_from_those_that_follow_a_resume(
    recipe, tmp_path, monkeypatch
):
    recipe["model"]["weights"] = "bundled"
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "solver": "lbfgs", "l2": 0.01},
        {"policy": {"last-blocks": 1}, "epochs": 1},
    ]
    with monkeypatch.context() as patch:
        interrupt(patch, at=2)
        with pytest.raises(Interrupted):
            tlkit.finetune(recipe, run_dir=tmp_path / "run")
    run = tlkit.resume(tmp_path / "run")
    assert [int(row["step"]) for row in rows(run.folder)] == list(range(7))
    assert all("rollbacks" not in stage for stage in run.result["stages"])


def test_accumulation_is_resumed_between_two_updates(recipe, tmp_path, monkeypatch):
    given = accumulating(recipe, 4, epochs=2, schedule="cosine")
    given["finetune"]["ema"] = {"momentum": 0.9}
    whole = tlkit.finetune(given, run_dir=tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, at=6)
        with pytest.raises(Interrupted):
            tlkit.finetune(given, run_dir=tmp_path / "cut")
    cut = tlkit.resume(tmp_path / "cut")

    def told(run):
        keys = ("step", "update", "learning_rate", "update_ratio/head")
        return [[row[key] for key in keys] for row in rows(run.folder)]

    assert told(whole) == told(cut)
    one, other = (
        keras.models.load_model(tmp_path / name / "model.keras").get_weights()
        for name in ("whole", "cut")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_states_are_saved_by_updates_and_across_short_epochs(recipe, tmp_path, monkeypatch):
    from tlkit.train.loop import StageLoop

    saved = []
    whole = StageLoop.save

    def save(self):
        self.saving = 1e9  # no epoch's end is worth it
        whole(self)
        self.saving = 1e9
        if self.state.batch:
            saved.append(self.count.batches_before(self.state.epoch, self.state.batch))

    monkeypatch.setattr(StageLoop, "save", save)
    recipe["checkpoint"] = {"every": "2 steps"}
    tlkit.finetune(accumulating(recipe, 4, epochs=4), run_dir=tmp_path / "run")
    # 28 batches, an update behind each fourth; the first epoch was saved at its end, behind one update
    assert saved == [12, 20, 28]
