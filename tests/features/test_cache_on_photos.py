"""Head-only on real photos: with the cache of features, and through the network every epoch."""

import csv

import pytest

import tlkit

pytestmark = [pytest.mark.assets, pytest.mark.slow]


def curves(run):
    with open(run.folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    return [float(row[key]) for row in rows for key in ("loss", "val_loss") if row[key]]


def recipe(assets, data, cache, seed=0, dropout=0.0):
    return {
        "name": "same",
        "seed": seed,
        "data": {"source": {"folder": str(assets / "data" / data)}, "image_size": 64},
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"),
            "head": {"linear": {"dropout": dropout}},
        },
        "engine": "tensorflow",
        "cache": cache,
        "finetune": {"stages": [{"policy": "head-only", "epochs": 2}]},
        "export": [],
    }


@pytest.mark.parametrize("data", ["hymenoptera", "flowers", "surface_defects", "rsscn7"])
def test_the_numbers_are_the_same(assets, tmp_path, data):
    cached = tlkit.finetune(recipe(assets, data, "auto"), run_dir=tmp_path / "cached")
    through = tlkit.finetune(recipe(assets, data, "off"), run_dir=tmp_path / "through")
    made = cached.result["stages"][0]["features"]
    assert made["engine"].startswith("tensorflow, float32")
    assert made["kept"] == "disk"
    assert "features" not in through.result["stages"][0]
    assert curves(cached) == pytest.approx(curves(through), abs=1e-3)
    images = cached.result["evaluation"]["images"]
    difference = cached.result["best"]["val_accuracy"] - through.result["best"]["val_accuracy"]
    assert abs(difference) <= 1.001 / images


def test_with_dropout_the_difference_is_that_of_seeds(assets, tmp_path):
    found = {"auto": [], "off": []}
    for cache, accuracies in found.items():
        for seed in range(2):
            given = recipe(assets, "hymenoptera", cache, seed, dropout=0.5)
            run = tlkit.finetune(given, run_dir=tmp_path / f"{cache}{seed}")
            accuracies.append(run.result["best"]["val_accuracy"])
    low, high = min(found["off"]), max(found["off"])
    spread = max(high - low, 2 / 153)
    assert low - spread <= sum(found["auto"]) / 2 <= high + spread
