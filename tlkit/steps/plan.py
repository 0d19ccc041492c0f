"""A recipe described before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit import registry
from tlkit.recipe.schema import Recipe
from tlkit.step_count import StepCount

if TYPE_CHECKING:
    from tlkit.train.context import RunContext
    from tlkit.train.plans import PlannedStage


def describe_changes(recipe: Recipe) -> list[str]:
    """What a recipe changes besides what its stages train, one line each."""

    def names(items: Any) -> str:
        return ", ".join(
            item.name
            + "".join(f" {key}={value:g}" for key, value in item.arguments.items() if
                      isinstance(value, float))
            for item in items
        )  # fmt: skip

    lines = []
    if recipe.augment:
        lines.append(f"augment, on the {recipe.augment_on}: {names(recipe.augment)}")
    if recipe.preprocess:
        left = {registry.PREPROCESSORS[item.name].facts.leaves for item in recipe.preprocess}
        instead = ""
        if "scaled" in left:
            instead = "; in the place of the backbone's own scaling"
        elif "centred" in left:
            instead = "; in the place of the backbone's own mean"
        lines.append(f"preprocess: {names(recipe.preprocess)}{instead}")
    if recipe.model.insert:
        lines.append(f"insert: {names(recipe.model.insert)}")
    if recipe.regularize:
        lines.append(f"regularize: {names(recipe.regularize)}")
    loss = recipe.finetune.loss
    lines.append(f"loss: {names([loss])}")
    if recipe.finetune.adversarial is not None:
        attack = recipe.finetune.adversarial
        lines.append(
            f"adversarial: {names([attack.attack])} on the {attack.on}, weight {attack.weight:g}"
        )
    return lines


def describe_stage(context: RunContext, planned: PlannedStage, whole: bool = False) -> list[str]:
    """One stage as lines of text: what trains, how long, how fast, and what is cached.

    Blocks that train alike share one line, unless `whole`.
    """
    from tlkit.features.compute import place_for
    from tlkit.features.split_network import find_cut
    from tlkit.freeze import describe
    from tlkit.train.counting import count_steps
    from tlkit.train.plans import stage_cut, stage_views

    recipe, dataset, network = context.recipe, context.dataset, context.network
    stage, plan = planned.stage, planned.plan
    lines = [f"\nstage {planned.index + 1}: {stage.name}", describe(plan, whole)]
    if not stage.epochs:
        return lines
    sizes = {v.path: int(np.prod(v.shape)) for v in network.model.weights}
    count = sum(sizes[path] for path in plan.trainable)
    lines.append(f"  {count:,} of {sum(sizes.values()):,} parameters train")
    if stage.solver == "lbfgs":
        lines.append(f"  the head is solved to its optimum by L-BFGS, l2 {stage.l2}")
    else:
        assert stage.optimizer is not None and stage.schedule is not None
        rate = stage.optimizer.arguments.get("learning_rate")
        shown = "its own rate" if rate is None else rate if rate == "auto" else f"{rate:g}"
        lines.append(
            f"  {_describe_steps(count_steps(stage, len(dataset.train)))}, "
            f"{stage.optimizer.name} at {shown}, "
            f"schedule {stage.schedule.name}"
        )
    if stage.image_size is not None:
        lines.append(f"  images of {stage.image_size} pixels")
    cut = stage_cut(planned, network, recipe)
    if cut is not None:
        views = stage_views(stage, recipe.cache) or 1
        shapes = ", ".join("x".join(map(str, shape)) for shape in cut.shapes)
        kept, why = place_for(cut, dataset, recipe.cache, views)
        drawn = f" for {views} draws of each image" if stage.augment else ""
        lines.append(
            f"  what is frozen is computed once{drawn}: {shapes} an image, kept in {kept}: {why}"
            if kept
            else f"  what is frozen is computed at every epoch: {why}"
        )
    elif find_cut(network.logits, plan) is not None:
        if recipe.cache == "off":
            lines.append("  what is frozen is computed at every epoch, as cache is off")
        elif stage.augment:
            lines.append(
                "  augmented images pass through what is frozen at every epoch; with "
                "cache: {views: 4} only 4 draws of each would, once"
            )
    return lines


def _describe_steps(count: StepCount) -> str:
    """Epochs, batches and updates, in words."""
    text = (
        f"{count.epochs} epochs of {count.batches_per_epoch} batches of {count.batch_size} images"
    )
    if count.accumulation == 1:
        return f"{text}: {count.updates} updates"
    left = count.batches % count.accumulation
    return f"{text}: {count.updates} updates of {count.accumulation} batches each" + (
        f", and {left} batches at the end that make none" if left else ""
    )
