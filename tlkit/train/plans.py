"""What each stage of a recipe trains in a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tlkit.data.dataset import Dataset
from tlkit.errors import UserError
from tlkit.features.compute import place_for
from tlkit.features.split_network import Cut, find_cut
from tlkit.freeze import FreezePlan, make_plan
from tlkit.model import Network
from tlkit.recipe.schema import Cache, Recipe, Stage
from tlkit.train.defaults import completed
from tlkit.train.guard import to_move


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    """A stage of a recipe in a network.

    Attributes:
        index: Index of the stage, from 0.
        stage: Stage, with its defaults filled in.
        plan: What trains.
    """

    index: int
    stage: Stage
    plan: FreezePlan


def plan_stage(stage: Stage, recipe: Recipe, network: Network) -> FreezePlan:
    """The freeze plan of a stage, whose defaults are filled in.

    Raises:
        UserError: if its policy does not fit, or nothing would train.
    """
    plan = make_plan(
        stage.policy.name,
        stage.policy.arguments,
        network.blocks,
        network.head,
        batch_norm=stage.batch_norm,
        batch_size=stage.batch_size or recipe.data.batch_size,
        head_multiplier=stage.head_multiplier,
        layer_decay=stage.layer_decay,
        rate_multipliers=stage.rate_multipliers,
    )
    if stage.epochs and not to_move(plan):
        why = (
            "the factor of each rate is 0" if plan.trainable else "the network has no such variable"
        )
        raise UserError(f"{stage.policy.name} trains nothing: {why}")
    return plan


def stage_views(stage: Stage, cache: str | Cache) -> int | None:
    """Number of augmented views per training image to cache; None if caching is impossible."""
    if cache == "off":
        return None
    if not stage.augment:
        return 1
    return cache.views if isinstance(cache, Cache) else None


def stage_cut(planned: PlannedStage, network: Network, recipe: Recipe) -> Cut | None:
    """Where a stage cuts the network; the part before the cut is computed once.

    None if the images change in every step, or nothing is frozen.
    """
    plan, adversarial = planned.plan, recipe.finetune.adversarial
    if stage_views(planned.stage, recipe.cache) is None:
        return None
    if adversarial is not None and adversarial.on == "image":
        return None
    if adversarial is not None and (plan.boundary is not None or network.inserted):
        return None  # the attack is on the pooled features, and the cut would come before them
    return find_cut(network.logits, plan)


def refuse_unplaced(
    plans: Sequence[PlannedStage], network: Network, dataset: Dataset, recipe: Recipe
) -> None:
    """Refuses a stage that solves the head if there is no room for the features of all images.

    Raises:
        UserError: naming the stage, and how much space is needed.
    """
    for planned in plans:
        if planned.stage.solver != "lbfgs":
            continue
        cut = stage_cut(planned, network, recipe)
        place, reason = (
            (None, "this recipe leaves none")
            if cut is None
            else place_for(cut, dataset, recipe.cache)
        )
        if place is None:
            raise UserError(
                f"solver lbfgs needs a place for the features of all images: {reason}",
                where=f"finetune.stages[{planned.index}].solver",
                hint="Make room, name another disk by cache: {folder: ...}, or use: solver: gradient",
            )


def stage_plans(recipe: Recipe, network: Network) -> list[PlannedStage]:
    """Each stage, with its defaults filled in, and its freeze plan.

    Raises:
        UserError: naming the stage whose policy does not fit the network.
    """
    plans = []
    for index, stage in enumerate(completed(recipe).finetune.stages):
        try:
            plan = plan_stage(stage, recipe, network)
        except UserError as error:
            raise UserError(
                error.message, where=f"finetune.stages[{index}]", hint=error.hint
            ) from None
        plans.append(PlannedStage(index, stage, plan))
    return plans
