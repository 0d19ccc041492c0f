"""Ten planted mistakes are found, and the ten recipes of the package have none."""

import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import tlkit.freeze as freezing
import tlkit.model as models
import tlkit.train.babysit as checks
import tlkit.train.plans as plans
import tlkit.train.stage_setup as stage_setup
from tests.conftest import ROOT
from tlkit import steps
from tlkit.cli.main import cli
from tlkit.data.dataset import Split
from tlkit.recipe.load import load_recipe
from tlkit.reporter import SILENT
from tlkit.train.context import make_context
from tlkit.train.defaults import completed

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
# of each kind of head, solver and source one; the others differ in policies and rates
FEW = {"quickstart", "staged", "predict-only", "noisy"}
WEIGHTS = "mobilenet_v2_1.0_224_no_top.weights.h5"


@pytest.fixture
def sound(recipe):
    """A recipe without a mistake, with weights that know something."""
    recipe["model"] = {"backbone": "tiny", "weights": "bundled"}
    return recipe


def found(recipe, change=lambda dataset, network: None):
    """Names of the checks that find something, after the data or the network were changed."""
    given = completed(load_recipe(recipe))
    dataset = steps.look_at_data(given, SILENT)
    network = steps.make_network(given, dataset, SILENT)
    change(dataset, network)
    context = make_context(given, dataset, network)
    return {problem.kind: problem.text for problem in steps.babysit(context)}


@pytest.mark.parametrize("policy", ["head-only", "full", {"last-blocks": 2}])
def test_a_sound_recipe_passes(sound, policy):
    sound["finetune"]["stages"][0]["policy"] = policy
    assert found(sound) == {}


def test_images_in_the_wrong_range(sound, monkeypatch):
    monkeypatch.setattr(models, "_affine", lambda spec: (1.0, 0.0))
    assert "; its weights expect about -1 to 1" in found(sound)["range"]


@pytest.mark.assets
def test_a_first_norm_that_sees_another_range(sound, assets, monkeypatch):
    """Where the table of ranges says nothing, the statistics of the weights do."""
    sound["model"] = {"backbone": "mobilenet_v2", "weights": str(assets / "weights" / WEIGHTS)}
    sound["data"] |= {"source": {"folder": str(assets / "data/hymenoptera")}, "image_size": 96}
    monkeypatch.setattr(models, "_affine", lambda spec: (1.0, 0.0))
    monkeypatch.setattr(checks, "RANGES", {})
    assert "times the variance it was pretrained with" in found(sound)["range"]


def test_shuffled_labels(sound):
    def shuffle(dataset, network):
        dataset.train.labels[:] = np.random.default_rng(1).permutation(dataset.train.labels)

    assert "nothing to do with each other" in found(sound, shuffle)["labels"]


def test_a_frozen_head(sound, monkeypatch):
    make = plans.make_plan

    def without_head(policy, arguments, blocks, head, **options):
        plan = make(policy, arguments, blocks, head, **options)
        own = {v.path for layer in head for v in layer.weights}
        plan.trainable = [path for path in plan.trainable if path not in own]
        return plan

    monkeypatch.setattr(plans, "make_plan", without_head)
    sound["finetune"]["stages"][0]["policy"] = {"last-blocks": 1}
    assert "head_logits/bias, head_logits/kernel" in found(sound)["head"]


def test_a_rate_a_hundred_times_too_high(sound):
    sound["finetune"]["stages"][0] |= {"optimizer": {"adam": {"learning_rate": 0.5}}}
    assert "at a learning rate of 0.5 the loss goes from" in found(sound)["rate"]


def test_a_frozen_norm_in_training_mode(sound, monkeypatch):
    fuse = freezing.fuse_in_place
    monkeypatch.setattr(freezing, "fuse_in_place", lambda layer, frozen: fuse(layer, False))
    sound["model"] = {
        "backbone": "mobilenet_v2", "weights": "none", "arguments": {"alpha": 0.35}
    }  # fmt: skip
    sound["cache"] = "off"
    assert "moving_mean" in found(sound)["frozen"]


def test_images_in_the_order_of_their_classes(sound, monkeypatch):
    monkeypatch.setattr(checks, "epoch_order", lambda count, seed, epoch: np.arange(count))
    assert "the images are not shuffled" in found(sound)["order"]


def test_a_class_folder_that_was_copied(sound, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "data")
    shutil.copytree(tmp_path / "data" / "red", tmp_path / "data" / "crimson")
    sound["data"]["source"] = {"folder": str(tmp_path / "data")}
    assert "are also in another class" in found(sound)["classes"]


def test_a_loss_that_takes_logits_for_probabilities(sound, monkeypatch):
    monkeypatch.setattr(
        stage_setup, "make_loss", lambda item, counts: keras.losses.CategoricalCrossentropy()
    )
    assert "takes them for something else" in found(sound)["loss"]


def test_a_dead_head(sound):
    sound["model"]["head"] = {"mlp": {"units": 16}}

    def kill(dataset, network):
        (hidden, *_) = [layer for layer in network.head if getattr(layer, "units", 0) == 16]
        hidden.bias.assign(np.full(16, -1e4))

    problems = found(sound, kill)
    assert "no gradient reaches" in problems["gradients"]
    assert "by heart" in problems


def test_no_validation_images(sound):
    def empty(dataset, network):
        dataset.splits["val"] = Split([], np.empty(0, np.int32), [])

    assert "no validation image" in found(sound, empty)["validation"]


def test_everything_is_put_back(sound):
    seen = {}

    def remember(dataset, network):
        seen["network"] = network
        seen["before"] = [np.array(v) for v in network.model.variables]

    sound["finetune"]["stages"][0]["policy"] = "full"
    found(sound, remember)
    for v, before in zip(seen["network"].model.variables, seen["before"], strict=True):
        np.testing.assert_array_equal(v, before)


def test_the_command_says_what_it_found(photos, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        f"name: t\ndata: {{source: {{folder: {photos}}}, image_size: 32, batch_size: 8}}\n"
        "model: {backbone: tiny, weights: bundled}\n"
        "finetune: {stages: [{policy: head-only, epochs: 1}]}\n"
    )
    told = CliRunner().invoke(cli, ["babysit", str(path)])
    assert (told.exit_code, "no problem was found" in told.output) == (0, True), told.output
    rate = "finetune.stages.0.optimizer={adam: {learning_rate: 0.9}}"
    told = CliRunner().invoke(cli, ["babysit", str(path), rate])
    assert told.exit_code == 1
    assert "find it with: tlkit lr-find" in told.output


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_packaged_recipes_are_sound(name, assets, request):
    if name not in FEW and not request.config.getoption("--exhaustive"):
        pytest.skip("only with --exhaustive")
    given = load_recipe(name)
    overrides = ["data.image_size=64"]
    if given.data.source.name == "folder":
        overrides.append(f"data.source.folder={assets / 'data/hymenoptera'}")
    elif given.data.source.name == "tfds":
        overrides.append(f"data.source={{folder: {assets / 'data/flowers'}}}")
    else:
        overrides = []
    if given.model.weights == "imagenet":
        file = WEIGHTS.replace("_no_top", "") if given.model.head.name == "original" else WEIGHTS
        overrides.append(f"model.weights={assets / 'weights' / file}")
        if given.model.head.name == "original":
            overrides[0] = "data.image_size=224"
    recipe = load_recipe(name, overrides).model_dump(mode="json", exclude_none=True)
    assert found(recipe) == {}
