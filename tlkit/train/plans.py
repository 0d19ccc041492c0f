"""What each stage of a recipe trains in a network."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.data.dataset import Dataset
from tlkit.errors import UserError
from tlkit.features.compute import place_for
from tlkit.features.cut import Cut, find_cut
from tlkit.freeze import FreezePlan, make_plan
from tlkit.model import Network
from tlkit.recipe.schema import Adversarial, Cache, Recipe, Stage
from tlkit.train.defaults import completed
from tlkit.train.guard import to_move


def plan_stage(stage: Stage, recipe: Recipe, network: Network) -> FreezePlan:
    """What a completed stage trains in a network.

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
    """Draws of each training image to be computed once; None where that cannot be."""
    if cache == "off":
        return None
    if not stage.augment:
        return 1
    return cache.views if isinstance(cache, Cache) else None


def stage_cut(
    stage: Stage,
    plan: FreezePlan,
    network: Network,
    adversarial: Adversarial | None,
    cache: str | Cache,
) -> Cut | None:
    """Where the network is cut in a stage, what lies before it being computed once.

    None where the images change from step to step, or nothing is frozen.
    """
    if stage_views(stage, cache) is None:
        return None
    if adversarial is not None and adversarial.on == "image":
        return None
    if adversarial is not None and (plan.boundary is not None or network.inserted):
        return None  # the attack is on the pooled features, the cut would lie before them
    return find_cut(network.logits, plan)


def refuse_unplaced(
    plans: Sequence[tuple[Stage, FreezePlan]], network: Network, dataset: Dataset, recipe: Recipe
) -> None:
    """Refuses a stage that is solved from the features of all images where there is no room for them.

    Raises:
        UserError: naming the stage, and how much room is needed.
    """
    for index, (stage, plan) in enumerate(plans):
        if stage.solver != "lbfgs":
            continue
        cut = stage_cut(stage, plan, network, recipe.finetune.adversarial, recipe.cache)
        place, reason = (
            (None, "this recipe leaves none")
            if cut is None
            else place_for(cut, dataset, recipe.cache)
        )
        if place is None:
            raise UserError(
                f"solver lbfgs needs a place for the features of all images: {reason}",
                where=f"finetune.stages[{index}].solver",
                hint="Make room, name another disk by cache: {folder: ...}, or use: solver: gradient",
            )


def stage_plans(recipe: Recipe, network: Network) -> list[tuple[Stage, FreezePlan]]:
    """Each completed stage with its freeze plan.

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
        plans.append((stage, plan))
    return plans
