"""A training step that is computed in smaller parts where memory is too small for it whole."""

from __future__ import annotations

from typing import Any

from tlkit.errors import RunFailed
from tlkit.freeze import FreezePlan
from tlkit.out_of_memory import is_out_of_memory
from tlkit.recipe.schema import Stage
from tlkit.train.step import Step
from tlkit.train.training import Training


def rescued(
    step: Step, images: Any, labels: Any, training: Training, stage: Stage, plan: FreezePlan
) -> Any:
    """Takes a step; where memory runs out, the same step in smaller parts, from now on.

    Args:
        step: Compiled.
        images: Of the batch.
        labels: Of the batch.
        training: What the stages share; its state remembers the size of the parts.
        stage: Whose step it is.
        plan: What the stage trains.

    Returns:
        What the step returns.

    Raises:
        RunFailed: if memory is too small for one image, or the recipe wants no rescue.
    """
    while True:
        try:
            return step(images, labels)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            size = (step.micro_batch or len(labels)) // 2
            if training.config.out_of_memory == "fail" or size < 1:
                raise RunFailed(
                    f"out of memory in stage {stage.name!r} with a batch of "
                    f"{step.micro_batch or len(labels)} images.",
                    hint="Take a smaller batch_size, image_size or backbone.",
                ) from None
        step.micro_batch = training.state.micro_batch = size
        note = (
            f"; BatchNorm in {plan.batch_norm['train']} layers now sees {size} images at once"
            if plan.batch_norm["train"]
            else ""
        )
        training.say(
            f"out of memory: each batch of {stage.batch_size} is computed {size} images at a time, "
            f"and its gradient is the same{note}"
        )
