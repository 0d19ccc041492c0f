"""Progressive resizing: a stage with its own image size."""

from __future__ import annotations

import dataclasses

from tlkit.data.dataset import Dataset, resized
from tlkit.errors import UserError
from tlkit.model import Network, build_network
from tlkit.recipe.schema import Recipe
from tlkit.train.context import RunContext
from tlkit.train.plans import PlannedStage, plan_stage


def at_size(network: Network, recipe: Recipe, size: tuple[int, int]) -> Network:
    """The same network, with the same weights, for images of another size.

    Args:
        network: Network of the run.
        recipe: Recipe that it was built from.
        size: Height and width in pixels.

    Raises:
        UserError: if a weight's shape depends on the size.
    """
    config = recipe.model.model_copy(update={"weights": "none"})
    other = build_network(config, network.task, size, network.preprocessing)
    copy_weights(network, other, recipe.model.backbone)
    return other


def copy_weights(source: Network, target: Network, name: str) -> None:
    """Copies all variables in order, including those of random generators."""
    for old, new in zip(source.model.variables, target.model.variables, strict=True):
        if old.shape != new.shape:
            raise UserError(
                f"stages cannot differ in image_size with {name!r}: its weight {old.path} is "
                f"{tuple(old.shape)} at {source.image_size} and {tuple(new.shape)} at "
                f"{target.image_size}"
            )
        new.assign(old)


def at_own_size(context: RunContext, planned: PlannedStage) -> tuple[RunContext, PlannedStage]:
    """The context and plan at the stage's own image size; unchanged if it has none.

    Progressive resizing: most of the training uses small images, which is
    fast, and the last stage uses the final size. (Howard 2018; Tan and Le 2021,
    "EfficientNetV2", section 4.)
    """
    size, recipe = planned.stage.image_size, context.recipe
    if size is None:
        return context, planned
    size = size if isinstance(size, tuple) else (size, size)
    with context.strategy.scope():
        network = at_size(context.network, recipe, size)
    dataset: Dataset = resized(context.dataset, recipe.data, size)
    renamed = {
        new.path: context.start[old.path]
        for old, new in zip(context.network.model.variables, network.model.variables, strict=True)
        if old.path in context.start
    }
    own = dataclasses.replace(context, network=network, dataset=dataset, start=renamed)
    plan = plan_stage(planned.stage, recipe, network)
    return own, dataclasses.replace(planned, plan=plan)
