"""A head solved in the place of epochs."""

import csv

import keras
import numpy as np
import pytest

import tlkit
from tlkit.errors import RecipeError
from tlkit.recipe.load import load_recipe


def solved(recipe, **stage):
    recipe["model"]["weights"] = "bundled"
    recipe["finetune"]["stages"] = [{"policy": "head-only", "solver": "lbfgs", **stage}]
    return recipe


def test_the_head_is_at_the_optimum_of_the_runs_own_loss(recipe, tmp_path):
    recipe["finetune"]["loss"] = {"cross_entropy": {"label_smoothing": 0.1}}
    recipe["finetune"]["class_weight"] = {"red": 3.0}
    run = tlkit.finetune(solved(recipe, l2=0.01), run_dir=tmp_path / "run")
    (stage,) = run.result["stages"]
    assert stage["epochs"] == 1
    assert stage["metrics"]["val_accuracy"] == run.result["evaluation"]["accuracy"] > 0.9
    with open(run.folder / "metrics.csv") as file:
        (row,) = csv.DictReader(file)
    # what the run wrote down is a recipe that may be run again
    again = load_recipe(run.folder / "resolved.yaml")
    assert again.finetune.stages[0].l2 == 0.01
    model = keras.models.load_model(run.folder / "model.keras", compile=False)
    dense = model.get_layer("head_logits")
    # the loss of a solution with the penalty is no more than that of any other head
    assert 0 < float(row["loss"]) < np.log(3) * 5 / 3
    assert float(row["accuracy"]) > 0.9
    # optimality is tested in tests/features/test_lbfgs.py; here, that it is this model's
    assert np.abs(np.asarray(dense.kernel)).max() > 0


def test_a_strength_is_chosen_and_a_stage_of_everything_may_follow(recipe, tmp_path):
    recipe["augment"] = ["flip"]
    solved(recipe)["finetune"]["stages"].append({"policy": "full", "epochs": 1})
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    head, full = run.result["stages"]
    assert head["metrics"]["val_accuracy"] > 0.7
    assert full["metrics"]["val_accuracy"] >= head["metrics"]["val_accuracy"]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"policy": "full"}, "solver lbfgs is for head-only, .* found full"),
        ({"epochs": 4}, "solver lbfgs has no epochs; found 4"),
        ({"optimizer": "adam"}, "solver lbfgs takes no optimizer"),
        ({"augment": ["flip"]}, "solver lbfgs takes no augment"),
        ({"l2": -1}, "expected a number >= 0, found -1"),
        ({"solver": "gradient", "l2": 0.1}, "l2 belongs to solver lbfgs"),
    ],
)
def test_what_does_not_go_together_is_said(recipe, stage, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(solved(recipe, **stage))


def test_it_is_for_a_linear_head_and_cross_entropy(recipe):
    solved(recipe)["model"]["head"] = "mlp"
    with pytest.raises(RecipeError, match="needs a plain linear head"):
        load_recipe(recipe)
    recipe["model"]["head"] = "linear"
    recipe["finetune"]["loss"] = "focal"
    with pytest.raises(RecipeError, match="minimises cross_entropy; found loss 'focal'"):
        load_recipe(recipe)
