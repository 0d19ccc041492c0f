"""The learning rate sweep, on a curve whose answer is known and on real runs."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import tlkit
from tlkit.cli.main import cli
from tlkit.errors import RecipeError
from tlkit.recipe.load import load_recipe
from tlkit.train.lr_find import suggest


def test_a_known_curve_is_read():
    """Falls between 1e-4 and 1e-2, steepest in the middle, and rises from there on."""
    rates = np.geomspace(1e-6, 1, 120)
    exponent = np.log10(rates)
    falling = 2.0 - 1.5 / (1 + np.exp(-4 * (exponent + 3)))
    rising = np.maximum(exponent + 1.5, 0) ** 2 * 3
    noise = np.random.default_rng(0).normal(size=120) * 0.02
    found = suggest(rates, falling + rising + noise)
    assert 4e-4 < found.steepest < 2.5e-3
    assert found.steepest < found.valley < rates[np.argmin(falling + rising)]


def test_a_sweep_leaves_everything_as_it_was(recipe, tmp_path, monkeypatch):
    """A run with `auto` is, bit for bit, a run with the rate that was found."""
    recipe["deterministic"] = True
    recipe["finetune"]["stages"] = [
        {"policy": "full", "epochs": 2, "augment": ["flip"],
         "optimizer": {"adam": {"learning_rate": "auto"}}}
    ]  # fmt: skip
    recipe["finetune"]["ema"] = {"momentum": 0.9}
    one = tlkit.finetune(recipe, run_dir=tmp_path / "auto")
    rate = one.result["stages"][0]["learning_rate"]
    assert 1e-5 < rate < 0.5
    recipe["finetune"]["stages"][0]["optimizer"] = {"adam": {"learning_rate": rate}}
    other = tlkit.finetune(recipe, run_dir=tmp_path / "named")

    def rows(run):
        with open(run.folder / "metrics.csv") as file:
            return [
                {k: v for k, v in row.items() if k not in ("images_per_second", "data_wait")}
                for row in csv.DictReader(file)
            ]

    assert rows(one) == rows(other)


def test_the_command_prints_what_to_paste_and_draws(photos, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        f"name: t\ndata: {{source: {{folder: {photos}}}, image_size: 32, batch_size: 8}}\n"
        "model: {backbone: tiny, weights: bundled}\n"
        "finetune: {stages: [{policy: head-only, epochs: 1}]}\n"
    )
    out = tmp_path / "curve.png"
    told = CliRunner().invoke(cli, ["lr-find", str(path), "-o", str(out), "--steps", "40"])
    assert told.exit_code == 0, told.output
    assert "finetune.stages[0].optimizer: {adam: {learning_rate: " in told.output
    assert out.stat().st_size > 5000
    wrong = CliRunner().invoke(cli, ["lr-find", str(path), "--stage", "3"])
    assert "stages with steps: 0 (head-only)" in str(wrong.exception)


def test_a_rate_is_a_number_or_auto(recipe):
    recipe["finetune"]["stages"][0]["optimizer"] = {"adam": {"learning_rate": "fast"}}
    with pytest.raises(RecipeError, match="learning_rate"):
        load_recipe(recipe)
    recipe["finetune"]["stages"][0]["optimizer"] = {"adam": {"learning_rate": -1}}
    with pytest.raises(
        RecipeError, match=r"adam\.learning_rate: expected a number from 1e-10 to 100, or auto"
    ):
        load_recipe(recipe)
