"""The training loop on small pictures; what a step does is checked against NumPy or plain Keras."""

import copy
import csv
import json

import keras
import numpy as np
import pytest

import tlkit
from tlkit.errors import UserError
from tlkit.recipe.schema import Recipe
from tlkit.tasks.classification import Classification
from tlkit.train import loop as loops
from tlkit.train.ema import WeightAverage
from tlkit.train.interrupt import Interrupted
from tlkit.train.state import load_state
from tlkit.train.step import Step


def changed(recipe, **stage):
    new = copy.deepcopy(recipe)
    new["finetune"]["stages"][0].update(stage)
    return new


def rows(run):
    with open(run.folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


def weights(run):
    import keras

    return [np.asarray(w) for w in keras.models.load_model(run.folder / "model.keras").weights]


def test_the_learning_rate_of_every_step_is_written(recipe, tmp_path):
    new = changed(recipe, epochs=3, optimizer={"sgd": 0.1}, schedule={"exponential": {"rate": 0.5}})
    run = tlkit.finetune(new, run_dir=tmp_path / "run")
    steps = [row for row in rows(run) if not row["val_loss"]]
    per_epoch = len(steps) // 3
    rates = [float(row["learning_rate"]) for row in steps]
    np.testing.assert_allclose(
        rates, [0.1 * 0.5 ** (k / per_epoch) for k in range(len(steps))], rtol=1e-4
    )
    epochs = [row for row in rows(run) if row["val_loss"]]
    assert [row["epoch"] for row in epochs] == ["1", "2", "3"]


def test_tensorboard_has_the_same_rates(recipe, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tlkit.finetune(
        changed(recipe, epochs=2, schedule={"cosine": {}}), run_dir=tmp_path / "run"
    )
    board = EventAccumulator(str(run.folder / "tensorboard"), {"scalars": 0})
    board.Reload()
    steps = [row for row in rows(run) if not row["val_loss"]]
    got = board.Scalars("step/learning_rate")
    assert [event.step for event in got] == [int(row["step"]) for row in steps]
    np.testing.assert_allclose(
        [event.value for event in got], [float(row["learning_rate"]) for row in steps], rtol=1e-5
    )
    epochs = [float(row["val_loss"]) for row in rows(run) if row["val_loss"]]
    got = board.Scalars("epoch/val_loss")
    np.testing.assert_allclose([event.value for event in got], epochs, rtol=1e-5)


@pytest.mark.parametrize("policy", ["head-only", {"last-blocks": 2}])
def test_features_computed_once_train_the_same_as_images_every_epoch(
    recipe, tmp_path, monkeypatch, policy
):
    recipe["finetune"]["stages"][0]["policy"] = policy
    once = tlkit.finetune(changed(recipe, epochs=2), run_dir=tmp_path / "a")
    import tlkit.train.stage_setup as stage_setup

    monkeypatch.setattr(stage_setup, "frozen_features", None)  # must not be called
    new = changed(recipe, epochs=2)
    new["augment"] = [{"brightness": 0.0}]  # changes nothing, but might
    through = tlkit.finetune(new, run_dir=tmp_path / "b")
    for a, b in zip(weights(once), weights(through), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_the_same_seed_gives_the_same_model_and_another_does_not(recipe, tmp_path):
    a, b = (tlkit.finetune(recipe, run_dir=tmp_path / name) for name in "ab")
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)
    c = tlkit.finetune({**recipe, "seed": 5}, run_dir=tmp_path / "c")
    assert any(not np.array_equal(x, y) for x, y in zip(weights(a), weights(c), strict=True))


def test_a_step_is_read_when_the_next_has_begun_but_for_callbacks_of_the_users_own(
    recipe, tmp_path, monkeypatch
):
    order, start, read = [], Step.__call__, loops.read_values

    def starting(self, images, labels):
        order.append("start")
        return start(self, images, labels)

    def reading(values):
        order.append("read")
        return read(values)

    monkeypatch.setattr(Step, "__call__", starting)
    monkeypatch.setattr(loops, "read_values", reading)
    late = tlkit.finetune(recipe, run_dir=tmp_path / "late")
    assert order == ["start", *6 * ["start", "read"], "read"]
    order.clear()
    own = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: order.append(batch))
    at_once = tlkit.finetune(recipe, run_dir=tmp_path / "at-once", callbacks=[own])
    assert order == [done for batch in range(7) for done in ("start", "read", batch)]
    for x, y in zip(weights(late), weights(at_once), strict=True):
        np.testing.assert_array_equal(x, y)
    timed = ("images_per_second", "data_wait")
    assert [{k: v for k, v in row.items() if k not in timed} for row in rows(late)] == [
        {k: v for k, v in row.items() if k not in timed} for row in rows(at_once)
    ]


def test_early_stopping_goes_back_to_the_best_epoch(recipe, tmp_path):
    new = changed(recipe, epochs=30, optimizer={"sgd": 5.0})
    new["finetune"]["early_stopping"] = {"patience": 2}
    run = tlkit.finetune(new, run_dir=tmp_path / "run")
    (stage,) = run.result["stages"]
    losses = [float(row["val_loss"]) for row in rows(run) if row["val_loss"]]
    assert len(losses) == stage["epochs"] < 30
    assert stage["best_epoch"] == int(np.argmin(losses)) + 1 == stage["epochs"] - 2
    assert run.result["evaluation"]["loss"] == pytest.approx(min(losses), rel=1e-3)


def test_a_later_stage_that_only_harms_is_undone(recipe, tmp_path):
    new = changed(recipe, epochs=3)
    new["finetune"]["stages"].append(
        {
            "policy": "head-only",
            "epochs": 1,
            "name": "harm",
            "optimizer": {"sgd": 100.0},
            "schedule": "constant",
        }
    )
    run = tlkit.finetune(new, run_dir=tmp_path / "run")
    first, second = run.result["stages"]
    assert second["best_epoch"] == 0
    assert second["metrics"]["val_loss"] == pytest.approx(first["metrics"]["val_loss"], rel=1e-5)


def test_class_weights_balance_the_loss(recipe):
    task, labels = Classification(["a", "b"]), np.array([0, 0, 0, 1])

    def weights(wanted):
        recipe["finetune"]["class_weight"] = wanted
        return task.weights(Recipe.model_validate(recipe).finetune.class_weight, labels)

    np.testing.assert_allclose(weights("balanced"), [4 / 6, 4 / 2])
    np.testing.assert_allclose(weights({"b": 3.0}), [1, 3])
    with pytest.raises(UserError, match="Did you mean 'b'"):
        weights({"bb": 3.0})


def test_the_weight_average_follows_its_formula():
    import keras

    v = keras.Variable([1.0, 2.0])
    average = WeightAverage([v], 0.9)
    expected, value = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    for t in range(30):
        value = value + 1
        v.assign(value)
        average.update()
        m = min(0.9, (1 + t) / (10 + t))
        expected = m * expected + (1 - m) * value
    np.testing.assert_allclose(average.averages[0], expected, rtol=1e-5)
    average.lend()
    np.testing.assert_allclose(v, expected, rtol=1e-5)
    average.take_back()
    np.testing.assert_allclose(v, value)


def test_the_averaged_weights_are_those_that_are_evaluated_and_saved(recipe, tmp_path):
    new = changed(recipe, epochs=2)
    new["finetune"]["ema"] = {"momentum": 0.9}
    run = tlkit.finetune(new, run_dir=tmp_path / "run")
    best = min(float(row["val_loss"]) for row in rows(run) if row["val_loss"])
    assert run.result["evaluation"]["loss"] == pytest.approx(best, rel=1e-3)


def test_a_loss_that_is_no_number_stops_with_advice(recipe, tmp_path):
    new = changed(recipe, policy="full", optimizer={"sgd": 100}, schedule="constant", epochs=3,
                  rate_multipliers={".": 1e6})  # fmt: skip
    with pytest.raises(UserError, match=r"the loss became .* Lower the learning rate"):
        tlkit.finetune(new, run_dir=tmp_path / "run")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_leaves_no_trace(recipe, tmp_path, precision):
    import keras

    new = changed(recipe, epochs=4, policy="full", optimizer={"adam": 1e-3})
    new["finetune"]["mixed_precision"] = precision
    new["export"] = ["saved_model"]  # which is checked against the evaluation
    run = tlkit.finetune(new, run_dir=tmp_path / "run")
    losses = [float(row["loss"]) for row in rows(run) if row["val_loss"]]
    assert losses[-1] < losses[0]
    model = keras.models.load_model(run.folder / "model.keras")
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    tlkit.finetune(recipe, run_dir=tmp_path / "plain")
    assert keras.config.dtype_policy().name == "float32"


class StopAt:
    """Presses Ctrl-C at a step of the run."""

    def __init__(self, monkeypatch, step):
        from tlkit.train.record import Recorder

        original = Recorder.on_train_batch_end

        def press(recorder, batch, logs=None):
            original(recorder, batch, logs)
            if recorder.step == step:
                raise KeyboardInterrupt

        monkeypatch.setattr(Recorder, "on_train_batch_end", press)


@pytest.mark.parametrize("step", [2, 9, 12, 14])
def test_an_interrupted_run_continues_to_the_very_same_end(recipe, tmp_path, monkeypatch, step):
    new = changed(recipe, epochs=1)
    new["augment"] = ["flip", "quarter_turns"]
    new["finetune"]["ema"] = {"momentum": 0.9}
    new["finetune"]["stages"].append(
        {"policy": {"last-blocks": 2}, "epochs": 2, "schedule": {"cosine": {"warmup_epochs": 0.5}}}
    )
    whole = tlkit.finetune(new, run_dir=tmp_path / "whole")
    with monkeypatch.context() as patch:
        StopAt(patch, step)
        with pytest.raises(Interrupted):
            tlkit.finetune(new, run_dir=tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "result.json").read_text())["status"] == "interrupted"
    state, _ = load_state(tmp_path / "cut" / "checkpoints" / "state.npz", print)
    assert state.stage == (0 if step < 6 else 1)
    resumed = tlkit.resume(tmp_path / "cut")
    for a, b in zip(weights(whole), weights(resumed), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)

    def steps(run):
        return [(r["step"], r["learning_rate"], f"{float(r['loss']):.4f}") for r in rows(run)]

    assert steps(resumed) == steps(whole)
    assert all(float(row["images_per_second"]) >= 0 for row in rows(resumed) if row["val_loss"])
