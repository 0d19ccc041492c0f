"""The number of batches and updates of a stage; imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.errors import UserError
from tlkit.recipe.schedule_length import too_short
from tlkit.recipe.schema import Stage
from tlkit.step_count import StepCount


def count_steps(stage: Stage, images: int) -> StepCount:
    """Number of batches and updates of a stage.

    Args:
        stage: Stage, with its defaults filled in.
        images: Number of training images.
    """
    assert stage.epochs is not None and stage.batch_size is not None
    return StepCount(images, stage.batch_size, stage.epochs, stage.gradient_accumulation_steps)


def refuse_too_short(stages: Sequence[Stage], images: int) -> None:
    """Refuses stages that make no update, or too few for their schedule.

    Args:
        stages: Stages, with their defaults filled in.
        images: Number of training images.

    Raises:
        UserError: naming the stage and its numbers.
    """
    for index, stage in enumerate(stages):
        if not stage.epochs or stage.solver != "gradient":
            continue
        count, where = count_steps(stage, images), f"finetune.stages[{index}]"
        if not count.updates:
            raise UserError(
                f"the stage makes no update: {count.epochs} epochs of {count.batches_per_epoch} "
                f"batches are {count.batches}, and gradients are accumulated over "
                f"{count.accumulation}",
                where=f"{where}.gradient_accumulation_steps",
                hint="Accumulate over fewer, or take a smaller batch_size or more epochs.",
            )
        schedule = stage.schedule
        short = schedule and too_short(schedule.name, schedule.arguments, count.epochs, count)
        if short:
            raise UserError(
                short,
                where=f"{where}.schedule",
                hint="Give the stage more epochs, or the schedule less to do.",
            )
