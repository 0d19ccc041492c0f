"""`model.norm`: what a recipe changes in the backbone's normalisation."""

import keras
import numpy as np
import pytest

import tlkit
from tests.conftest import ROOT
from tlkit.errors import UserError
from tlkit.freeze import make_plan
from tlkit.model import build_network
from tlkit.recipe.load import load_recipe
from tlkit.tasks.classification import Classification

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 3)).astype("uint8")


def build(norm, backbone="mobilenet_v2", weights="none", sample=lambda count: IMAGES[:count]):
    recipe = {
        "name": "norm",
        "data": {"source": {"folder": "photos"}},
        "model": {"backbone": backbone, "weights": weights, "norm": norm},
        "finetune": {"stages": [{"policy": "full", "epochs": 1}]},
    }
    if backbone == "mobilenet_v2":
        recipe["model"]["arguments"] = {"alpha": 0.35}
    return build_network(
        load_recipe(recipe).model, Classification(["a", "b"]), (32, 32), sample=sample
    )


def layers_of(network, kind):
    return [layer for block in network.blocks for layer in block.layers if isinstance(layer, kind)]


def test_keep_is_the_default_and_changes_nothing():
    assert build("keep").norm == ""


def test_frozen_batch_norm_trains_under_no_policy():
    network = build("frozen")
    norms = layers_of(network, keras.layers.BatchNormalization)
    assert network.norm == f"{len(norms)} x BatchNorm to BatchNorm, frozen"
    for policy in ("full", "norms-only"):
        plan = make_plan(policy, {}, network.blocks, network.head, batch_norm="train")
        assert plan.batch_norm == {"train": 0, "affine": 0, "frozen": len(norms)}
        assert not any("gamma" in path or "beta" in path for path in plan.trainable)


def test_statistics_are_those_of_the_images_after_preprocessing():
    network = build({"recalibrate": 16})
    assert network.norm == "BatchNorm statistics of 16 training images"
    first = layers_of(network, keras.layers.BatchNormalization)[0]
    kernel = layers_of(network, keras.layers.Conv2D)[0]
    values = kernel(IMAGES[:16].astype("float32") / 127.5 - 1)
    np.testing.assert_allclose(first.moving_mean, np.mean(values, (0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(first.moving_variance, np.var(values, (0, 1, 2)), rtol=1e-3)


def test_the_bundled_network_is_swapped_and_its_features_stay_alike():
    plain = build({"swap": "layer", "calibrate": 0}, "tiny", "bundled")
    network = build({"swap": "layer", "calibrate": 40}, "tiny", "bundled")
    norms = layers_of(network, keras.layers.GroupNormalization)
    assert {layer.groups for layer in norms} == {1}
    assert "calibrated on 40 training images" in network.norm
    old = np.asarray(build("keep", "tiny", "bundled").extractor(IMAGES))

    def error(other):
        return np.square(np.asarray(other.extractor(IMAGES)) - old).mean()

    assert error(network) < error(plain)


def test_what_cannot_be_done_names_the_place():
    with pytest.raises(UserError, match="has no BatchNorm layer") as error:
        build({"recalibrate": 4}, "tiny", "bundled")
    assert error.value.where == "model.norm"
    with pytest.raises(UserError, match="no normalisation layer that is meant"):
        build({"swap": "group", "layers": ["nothing"]}, "tiny", "bundled")


def test_a_run_with_swapped_norms_resizes_and_is_served_without_tlkit(tmp_path):
    run = tlkit.finetune(
        {
            "name": "norm",
            "data": {
                "source": {"tfrecord": str(ROOT / "recipes" / "digits.tfrecord")},
                "image_size": 32,
            },
            "model": {"backbone": "tiny", "norm": {"swap": "group", "groups": 4, "calibrate": 16}},
            "finetune": {
                "stages": [
                    {"policy": "head-only", "epochs": 1, "augment": [], "image_size": 40},
                    {"policy": "full", "epochs": 1},
                ]
            },
            "export": [],
        },
        run_dir=tmp_path / "run",
    )
    model = keras.models.load_model(run.folder / "model.keras", compile=False)
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.GroupNormalization)
    ]
    assert norms
    again = load_recipe(run.folder / "resolved.yaml").model.norm
    assert (again.swap, again.groups, again.calibrate) == ("group", 4, 16)
    assert {type(layer).__module__.split(".")[0] for layer in norms} == {"keras"}
    assert {layer.groups for layer in norms} == {4}
    assert run.result["evaluation"]["accuracy"] > 0.5


def test_a_plan_does_not_calibrate(monkeypatch):
    from tlkit.runs.workflow import show_plan

    def calibrating(*_):
        raise AssertionError("a plan says what would be done")

    monkeypatch.setattr("tlkit.model.swap_norm", calibrating)
    recipe = {
        "name": "planned",
        "data": {
            "source": {"tfrecord": str(ROOT / "recipes" / "digits.tfrecord")},
            "image_size": 32,
        },
        "model": {"backbone": "tiny", "norm": {"swap": "group", "distill": 1_000_000}},
        "finetune": {"stages": [{"policy": "full", "epochs": 1}]},
    }
    show_plan(load_recipe(recipe), None)
