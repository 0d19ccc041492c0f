"""Default values of a stage; imports no TensorFlow."""

from __future__ import annotations

from tlkit.backbones import spec as specs
from tlkit.recipe.schema import EPOCHS, Component, Data, Recipe, Stage

# ten epochs of a few hundred images are few steps, and the cosine decay calms a high rate
HEAD_ONLY_RATE = 5e-3
# for Adam, with networks that are in no table of tlkit
HUB_FULL_RATE = 1e-4


def full_rate(backbone: str) -> float:
    """Adam's learning rate if more than the head trains."""
    return HUB_FULL_RATE if backbone.startswith("hub:") else specs.find(backbone).full_rate


def complete(stage: Stage, data: Data, augment: list[Component], backbone: str) -> Stage:
    """The stage with every default filled in, as in `plan` and resolved.yaml.

    Args:
        stage: Stage as written in the recipe.
        data: The recipe's `data`.
        augment: The recipe's `augment`.
        backbone: The recipe's `model.backbone`.
    """
    policy = stage.policy.name
    solved = stage.solver == "lbfgs"
    if solved:
        stage = stage.model_copy(update={"epochs": 1, "augment": []})
    idle = policy == "predict-only"
    epochs = stage.epochs if stage.epochs is not None else (0 if idle else EPOCHS)
    head_only = policy in ("head-only", "predict-only")
    rate = HEAD_ONLY_RATE if head_only else full_rate(backbone)
    schedule = stage.schedule
    if schedule is None and epochs and not solved:
        warmup = {} if head_only else {"warmup_epochs": min(1.0, epochs / 4)}
        schedule = Component("cosine", warmup)
    return stage.model_copy(
        update={
            "name": stage.name or policy,
            "epochs": epochs,
            "optimizer": stage.optimizer
            or (None if idle or solved else Component("adam", {"learning_rate": rate})),
            "schedule": schedule,
            "batch_size": stage.batch_size or data.batch_size,
            "augment": [] if idle else augment if stage.augment is None else stage.augment,
        }
    )


def completed(recipe: Recipe) -> Recipe:
    """The recipe with the defaults of its stages filled in."""
    stages = [
        complete(stage, recipe.data, recipe.augment, recipe.model.backbone)
        for stage in recipe.finetune.stages
    ]
    return recipe.model_copy(
        update={"finetune": recipe.finetune.model_copy(update={"stages": stages})}
    )
