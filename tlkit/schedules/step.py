"""Step decay."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Decay, Epochs, number, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, with_warmup
from tlkit.tensors import KerasSchedule


@register("step")
def step(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rate: Decay = 0.1,
    every_epochs: Annotated[float, within(0.01, 100_000)] = 10.0,
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Falls in steps: `learning_rate * rate ** floor(epoch / every_epochs)`.

    Args:
        learning_rate: Initial learning rate.
        epochs: Not used; every schedule accepts it.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        rate: Factor of each reduction.
        every_epochs: Number of epochs between reductions.
        warmup_epochs: Epochs of linear warm-up at the start.
    """
    rate = number("rate", rate, above=0, below=1)
    every_epochs = number("every_epochs", every_epochs, above=0)
    decay = keras.optimizers.schedules.ExponentialDecay(
        learning_rate, every_epochs * steps_per_epoch * (1.0 - NUDGE), rate, staircase=True
    )
    return with_warmup(decay, warmup_epochs, steps_per_epoch)
