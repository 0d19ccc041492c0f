"""Step decay."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Decay, Epochs, number, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, with_warmup


@register("step")
def step(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rate: Decay = 0.1,
    every_epochs: Annotated[float, within(0.01, 100_000)] = 10.0,
    warmup_epochs: Epochs = 0.0,
) -> Any:
    """Falls in steps: `learning_rate * rate ** floor(epoch / every_epochs)`.

    Args:
        learning_rate: Rate at the start.
        epochs: Not used; every schedule takes it.
        steps_per_epoch: Updates an epoch has; with accumulation no whole number.
        rate: Factor of each step down.
        every_epochs: Epochs between steps down.
        warmup_epochs: Epochs of linear rise before.
    """
    rate = number("rate", rate, above=0, below=1)
    every_epochs = number("every_epochs", every_epochs, above=0)
    decay = keras.optimizers.schedules.ExponentialDecay(
        learning_rate, every_epochs * steps_per_epoch * (1.0 - NUDGE), rate, staircase=True
    )
    return with_warmup(decay, warmup_epochs, steps_per_epoch)
