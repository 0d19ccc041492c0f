"""A training step that is split into smaller parts if memory is too small for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import RunFailed
from tlkit.out_of_memory import is_out_of_memory
from tlkit.tensors import Tensor
from tlkit.train.context import RunContext

if TYPE_CHECKING:
    from tlkit.train.stage_setup import StageSetup


def rescued(setup: StageSetup, images: Tensor, labels: Tensor, context: RunContext) -> Tensor:
    """Runs a step; if memory runs out, computes it in smaller parts from then on.

    Args:
        setup: Setup of the stage, whose step remembers the size of the parts.
        images: Images of the batch.
        labels: Labels of the batch.
        context: Context shared by all stages.

    Returns:
        The output of the step, for `read_values`.

    Raises:
        RunFailed: if memory is too small for one image, or the recipe disables this.
    """
    step, stage, plan = setup.step, setup.stage, setup.plan
    while True:
        try:
            return context.strategy.run(step, images, labels)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            size = (step.micro_batch or len(labels)) // 2
            if context.config.out_of_memory == "fail" or size < 1:
                raise RunFailed(
                    f"out of memory in stage {stage.name!r} with a batch of "
                    f"{step.micro_batch or len(labels)} images.",
                    hint="Take a smaller batch_size, image_size or backbone.",
                ) from None
        step.micro_batch = size
        note = (
            f"; BatchNorm in {plan.batch_norm['train']} layers now sees {size} images at once"
            if plan.batch_norm["train"]
            else ""
        )
        context.reporter.detail(
            f"out of memory: each batch of {stage.batch_size} is computed {size} images at a time, "
            f"and its gradient is the same{note}"
        )
