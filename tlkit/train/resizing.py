"""Progressive resizing: a stage with an image size of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

from tlkit.data.dataset import Dataset, resized
from tlkit.errors import UserError
from tlkit.freeze import FreezePlan
from tlkit.model import Network, build_network
from tlkit.recipe.schema import Recipe, Stage
from tlkit.train.loop import run_stage
from tlkit.train.plans import plan_stage
from tlkit.train.training import Training


def at_size(network: Network, recipe: Recipe, size: tuple[int, int]) -> Network:
    """The same network, weights and all, for images of another size.

    Args:
        network: The run's.
        recipe: That it was built from.
        size: Height and width in pixels.

    Raises:
        UserError: if a weight's shape depends on the size.
    """
    config = recipe.model.model_copy(update={"weights": "none"})
    other = build_network(config, network.task, size, network.preprocessing)
    copy_weights(network, other, recipe.model.backbone)
    return other


def copy_weights(source: Network, target: Network, name: str) -> None:
    """Copies all variables, those of random generators too, by their order."""
    for old, new in zip(source.model.variables, target.model.variables, strict=True):
        if old.shape != new.shape:
            raise UserError(
                f"stages cannot differ in image_size with {name!r}: its weight {old.path} is "
                f"{tuple(old.shape)} at {source.image_size} and {tuple(new.shape)} at "
                f"{target.image_size}"
            )
        new.assign(old)


def at_own_size(
    training: Training, recipe: Recipe, stage: Stage, plan: FreezePlan
) -> tuple[Training, FreezePlan]:
    """Network, images and plan at a stage's own image size; as given where it has none."""
    if stage.image_size is None:
        return training, plan
    size = stage.image_size
    size = size if isinstance(size, tuple) else (size, size)
    network = at_size(training.network, recipe, size)
    dataset: Dataset = resized(training.dataset, recipe.data, size)
    renamed = {
        new.path: training.start[old.path]
        for old, new in zip(training.network.model.variables, network.model.variables, strict=True)
        if old.path in training.start
    }
    own = dataclasses.replace(training, network=network, dataset=dataset, start=renamed)
    return own, plan_stage(stage, recipe, network)


def run_at_own_size(
    training: Training, recipe: Recipe, stage: Stage, plan: FreezePlan
) -> dict[str, Any]:
    """Runs a stage, at the stage's own image size where it has one.

    Progressive resizing: most of the work is done on small images, which are
    quick, and the last stage on those that count. (Howard 2018; Tan and Le 2021,
    "EfficientNetV2", section 4.)

    Returns:
        The stage's entry in result.json.
    """
    own, own_plan = at_own_size(training, recipe, stage, plan)
    result = run_stage(own, stage, own_plan)
    if own is not training:
        copy_weights(own.network, training.network, recipe.model.backbone)
        training.resumed = training.val_logits = None
    return result
