"""Where the time of a stage goes."""

import time

import numpy as np
import pytest

import tlkit
from tlkit import steps
from tlkit.errors import UserError
from tlkit.recipe.load import load_recipe
from tlkit.reporter import SILENT
from tlkit.runs import workflow
from tlkit.train import profile
from tlkit.train.context import make_context
from tlkit.train.defaults import completed
from tlkit.train.plans import stage_plans
from tlkit.train.profile import StageTime, describe_time, profile_files, profile_stage


def prepared(recipe):
    loaded = completed(load_recipe(recipe))
    data = steps.look_at_data(loaded, SILENT)
    network = steps.make_network(loaded, data, SILENT)
    return make_context(loaded, data, network), stage_plans(loaded, network)


@pytest.fixture
def staged(recipe):
    recipe["augment"] = ["flip"]
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 3, "augment": []},
        {"policy": "full", "epochs": 2},
    ]
    return recipe


def test_each_part_is_where_it_happens_and_the_weights_are_put_back(staged):
    context, plans = prepared(staged)
    before = [np.asarray(v) for v in context.network.model.variables]
    files = {"read": 0.5, "decode": 1.0}
    first, second = (profile_stage(context, planned, files) for planned in plans)
    assert list(first.once) == ["features by keras"]
    assert list(first.every) == ["transfer", "step"]
    assert first.seconds == pytest.approx(
        (60 * sum(first.once.values()) + 3 * 49 * sum(first.every.values())) / 1000
    )
    assert second.once == {}
    assert list(second.every) == ["augment", "transfer", "step"]  # decoded images are in memory
    assert second.every["step"] > first.every["step"]
    for old, variable in zip(before, context.network.model.variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert all(layer.trainable for layer in context.network.head)


def test_a_head_to_be_solved_whose_features_fit_nowhere_is_refused_before_the_run(
    staged, monkeypatch, tmp_path
):
    staged["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 1},
        {"policy": "head-only", "solver": "lbfgs"},
    ]
    context, plans = prepared(staged)
    monkeypatch.setattr("tlkit.train.stage_setup.place_for", lambda *_: (None, "no room"))
    found = profile_stage(context, plans[1], {"read": 0.5, "decode": 1.0})
    assert "step" not in found.every
    monkeypatch.setattr("tlkit.train.plans.place_for", lambda *_: (None, "9 MB are free"))
    expected = r"^finetune\.stages\[1\]\.solver: solver lbfgs needs a place .*: 9 MB are free"
    with pytest.raises(UserError, match=expected):
        tlkit.finetune(staged, run_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
    with pytest.raises(UserError, match=expected):
        workflow.show_plan(load_recipe(staged), None, profile=True)


def test_draws_of_kept_images_are_counted_once(staged):
    staged["cache"] = {"views": 2}
    staged["data"]["cache"] = "off"
    staged["finetune"]["stages"] = [{"policy": "head-only", "epochs": 5}]
    context, plans = prepared(staged)
    found = profile_stage(context, plans[0], {"read": 0.5, "decode": 1.0})
    assert found.once["read"] == 0.5
    assert "augment" in found.once
    assert found.seconds == pytest.approx(
        ((2 * 49 + 11) * sum(found.once.values()) + 5 * 49 * sum(found.every.values())) / 1000
    )


def test_files_are_timed_as_they_are(staged):
    context, _ = prepared(staged)
    data = context.dataset
    slow = data.train.records[0].__class__

    def wait(record):
        time.sleep(0.02)
        return record.read()

    data.train.records = [
        slow(r.name, r.label, r.split, lambda r=r: wait(r)) for r in data.train.records
    ]
    found = profile_files(data)
    cores = profile.os.cpu_count()
    assert 20 / cores <= found["read"] < 40
    assert found["decode"] < found["read"]


def test_the_widest_part_is_named_with_what_would_help():
    found = StageTime({"features by keras": 5.0}, {"transfer": 0.1, "step": 1.0}, 100)
    assert found.bottleneck(3) == "features by keras"
    assert found.bottleneck(10) == "step"
    lines = describe_time(found, 10)
    assert "200 images/s  once" in lines[0]
    assert lines[-1].startswith("  about 2 min; most of it goes into step: a smaller image_size")
