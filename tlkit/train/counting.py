"""What a stage's batches and updates come to; imports no TensorFlow."""

from __future__ import annotations

from tlkit.recipe.schema import Stage
from tlkit.step_count import StepCount


def count_steps(stage: Stage, images: int) -> StepCount:
    """Batches and updates of a stage.

    Args:
        stage: Completed.
        images: That it trains on.
    """
    assert stage.epochs is not None and stage.batch_size is not None
    return StepCount(images, stage.batch_size, stage.epochs, stage.gradient_accumulation_steps)
