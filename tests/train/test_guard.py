"""A run that trained nothing does not end well, and one that did is not stopped."""

import io
import shutil

import keras
import numpy as np
import pytest

import tlkit
from tests.conftest import draw
from tlkit.errors import RecipeError, RunFailed, UserError
from tlkit.recipe.load import load_recipe
from tlkit.runs import workflow
from tlkit.train import loop as loops
from tlkit.train.guard import are_alike
from tlkit.train.step import Step


def stage(recipe, **more):
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 1, **more}]
    return recipe


def test_more_accumulated_batches_than_there_are_is_an_error_before_training(recipe, tmp_path):
    given = stage(recipe, gradient_accumulation_steps=8, epochs=1)
    expected = (
        r"stages\[0\].gradient_acc.*makes no update: 1 epochs of 7 batches are 7, and .* over 8"
    )
    with pytest.raises(UserError, match=expected):
        tlkit.finetune(given, run_dir=tmp_path / "run")
    with pytest.raises(UserError, match=expected):
        workflow.show_plan(load_recipe(given), None)


@pytest.mark.parametrize(
    ("epochs", "schedule", "reason"),
    [
        (4, {"cosine": {"warmup_epochs": 4}}, "warmup_epochs 4 must be less than .* 4"),
        (None, {"constant": {"warmup_epochs": 5}}, "must be less than the stage's epochs, 5"),
        (4, {"piecewise": {"boundaries": [2, 4], "factors": [0.5, 0.1]}}, "epoch 4 is never"),
        (4, {"piecewise": {"boundaries": [2], "factors": [0.5], "warmup_epochs": 2}},
         "epoch 2 after 2 of warm-up is never reached: the stage has 4 epochs"),
        (4, {"cosine": {"restart_epochs": 5}}, "restart_epochs 5 is longer"),
        (4, {"cosine": {"restart_epochs": 3, "warmup_epochs": 1.5}}, "3 after 1.5 of warm-up"),
        (4, {"polynomial": {"cycle_epochs": 4.5}}, "cycle_epochs 4.5 is longer than the stage"),
        (4, {"step": {"every_epochs": 4}}, "first step down, at epoch 4, is never reached"),
        (4, {"cosine": {"restart_epochs": 4}}, None),
        (4, {"polynomial": {"cycle_epochs": 4}}, None),
        (4, {"piecewise": {"boundaries": [0, 3.9], "factors": [0.5, 0.1]}}, None),
        (4, {"step": {"every_epochs": 3.5}}, None),
        (4, "step", None),
        (1, {"cosine": {"warmup_epochs": 0.9}}, None),
    ],
)  # fmt: skip
def test_a_schedule_that_its_stage_is_too_short_for_is_refused_by_validate(
    recipe, epochs, schedule, reason
):
    given = stage(recipe, schedule=schedule)
    given["finetune"]["stages"][0]["epochs"] = epochs
    if reason is None:
        load_recipe(given)
    else:
        with pytest.raises(RecipeError, match=reason):
            load_recipe(given)


@pytest.mark.parametrize(
    ("accumulate", "epochs", "schedule", "reason"),
    [
        (7, 2, "one_cycle", "in 3 updates or more: the stage has 2 epochs, 2 updates"),
        (7, 3, "one_cycle", None),
        (8, 2, {"piecewise": {"boundaries": [1.5], "factors": [0.1]}}, "2 epochs, 1 updates"),
        (6, 2, {"cosine": {"restart_epochs": 2}}, None),
        (8, 2, {"cosine": {"warmup_epochs": 1.9}}, "must be less than .* 2, which have 1 updates"),
        (14, 2, {"cosine": {"warmup_epochs": 0.5}}, None),
    ],
)  # fmt: skip
def test_too_few_updates_for_a_schedule_are_an_error_before_training(
    recipe, accumulate, epochs, schedule, reason
):
    from tlkit.train.counting import refuse_too_short
    from tlkit.train.defaults import completed

    given = stage(recipe, gradient_accumulation_steps=accumulate, epochs=epochs, schedule=schedule)
    stages = completed(load_recipe(given)).finetune.stages
    if reason is None:
        refuse_too_short(stages, 52)
    else:
        with pytest.raises(UserError, match=rf"stages\[0\].schedule: .*{reason}"):
            refuse_too_short(stages, 52)


@pytest.mark.parametrize("policy", ["head-only", "full"])
@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize("images", [1, 20, 33])
def test_defaults_are_long_enough_for_any_number_of_images(recipe, policy, epochs, images):
    from tlkit.train.counting import refuse_too_short
    from tlkit.train.defaults import completed

    given = load_recipe(stage(recipe, policy=policy, epochs=epochs))
    refuse_too_short(completed(given).finetune.stages, images)


def test_the_plan_counts_updates(recipe):
    from rich.console import Console

    console = Console(record=True, width=200, file=io.StringIO())
    given = stage(recipe, gradient_accumulation_steps=4, epochs=6)
    workflow.show_plan(load_recipe(given), console)
    text = " ".join(console.export_text().split())
    assert "6 epochs of 7 batches of 8 images: 10 updates of 4 batches each, and 2 batches" in text


def no_gradient(monkeypatch):
    gradients = Step._gradients

    def cut_off(self, images, targets):
        found, loss, right = gradients(self, images, targets)
        return [g * 0 for g in found], loss, right

    monkeypatch.setattr(Step, "_gradients", cut_off)


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [({"sgd": {"learning_rate": 0.1}}, "no weight changed in stage 'full', .* gradient was zero"),
     ({"adamw": {"learning_rate": 0.1, "weight_decay": 0.1}}, "no gradient reached any weight")],
)  # fmt: skip
def test_without_gradients_the_run_fails(recipe, tmp_path, monkeypatch, optimizer, reason):
    no_gradient(monkeypatch)
    recipe["finetune"]["ema"] = {"momentum": 0.9}
    given = stage(recipe, policy="full", optimizer=optimizer)
    with pytest.raises(RunFailed, match=reason) as error:
        tlkit.finetune(given, run_dir=tmp_path / "run")
    assert error.value.exit_code == 1


def test_loss_scaling_that_skips_every_update_fails_the_run_whatever_the_guard(
    recipe, tmp_path, monkeypatch
):
    scale = keras.optimizers.LossScaleOptimizer
    monkeypatch.setattr(scale, "check_finite", lambda self, grads: keras.ops.array(False))
    recipe["finetune"] |= {"mixed_precision": "float16", "guard": False}
    with pytest.raises(RunFailed, match=r"no update was made .* never finite in float16"):
        tlkit.finetune(stage(recipe, policy="full"), run_dir=tmp_path / "run")


def after_each_epoch(monkeypatch, change):
    whole = loops.StageLoop._validate

    def validate(self):
        change(self.context.network)
        return whole(self)

    monkeypatch.setattr(loops.StageLoop, "_validate", validate)


def zero_head(network):
    for v in network.head[-1].weights:
        if v.name == "kernel":
            v.assign(v * 0)


def zero_body(network):
    for layer in network.blocks[-1].layers:
        for v in layer.weights:
            v.assign(v * 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(zero_head, "the head gives the same answer"), (zero_body, "features are the same for all")],
)
def test_answers_that_do_not_depend_on_the_image_fail_the_run(
    recipe, tmp_path, monkeypatch, change, reason
):
    after_each_epoch(monkeypatch, change)
    with pytest.raises(RunFailed, match=reason):
        tlkit.finetune(stage(recipe, policy="full"), run_dir=tmp_path / "run")
    recipe["finetune"]["guard"] = False
    assert tlkit.finetune(recipe, run_dir=tmp_path / "off").result["status"] == "done"


def test_what_trained_or_could_not_be_better_is_no_failure(recipe, tmp_path):
    """A stage that finds nothing better, and one that solves what is solved."""
    recipe["model"]["weights"] = "bundled"
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "solver": "lbfgs", "l2": 0.01},
        {"policy": "head-only", "solver": "lbfgs", "l2": 0.01},
        {"policy": "head-only", "epochs": 1, "optimizer": {"sgd": {"learning_rate": 50.0}}},
    ]
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert [item["best_epoch"] for item in run.result["stages"]][1:] == [0, 0]
    assert [item.get("updates") for item in run.result["stages"]] == [None, None, 7]


def test_a_penalty_that_takes_the_head_away_is_told_and_obeyed(recipe, tmp_path):
    given = stage(recipe, solver="lbfgs", l2=1e6)
    assert tlkit.finetune(given, run_dir=tmp_path / "run").result["status"] == "done"


@pytest.mark.parametrize("val", [1, 3])
def test_validation_images_that_are_one_image_prove_nothing(recipe, tmp_path, monkeypatch, val):
    after_each_epoch(monkeypatch, zero_head)
    root = tmp_path / "photos"
    for kind, name in enumerate(("red", "green")):
        for split in ("train", "val"):
            (root / split / name).mkdir(parents=True)
        for index in range(4):
            draw(kind, index).save(root / "train" / name / f"{index}.png")
    for index in range(val):
        draw(2, 0).save(root / "val" / ("red", "green")[index % 2] / f"{index}.png")
    recipe["data"] = {"source": {"folder": str(root)}, "image_size": 32, "batch_size": 4}
    assert tlkit.finetune(recipe, run_dir=tmp_path / "run").result["status"] == "done"
    shutil.rmtree(root)


def test_alike_is_but_for_rounding():
    rng = np.random.default_rng(0)
    row = rng.normal(size=(1, 5)).astype("float32")
    assert are_alike(np.repeat(row, 8, 0)) and are_alike(np.zeros((3, 5), "float32"))
    assert are_alike(np.repeat(row, 8, 0) * (1 + 1e-7 * rng.normal(size=(8, 1))))
    assert not are_alike(np.repeat(row, 8, 0) * (1 + 1e-4 * rng.normal(size=(8, 1))))
    assert not are_alike(rng.normal(size=(8, 5)) * 1e-20)
