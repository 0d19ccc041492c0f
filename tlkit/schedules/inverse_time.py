"""Inverse-time decay."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Epochs, number, within
from tlkit.registry import register
from tlkit.schedules.warmup import with_warmup
from tlkit.tensors import KerasSchedule


@register("inverse_time")
def inverse_time(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rate: Annotated[float, within(1e-3, 1e3)] = 0.5,
    every_epochs: Annotated[float, within(0.01, 100_000)] = 1.0,
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Falls as `learning_rate / (1 + rate * epoch / every_epochs)`.

    Args:
        learning_rate: Initial learning rate.
        epochs: Not used; every schedule accepts it.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        rate: Speed of the decay.
        every_epochs: Number of epochs that is the unit of time of the decay.
        warmup_epochs: Epochs of linear warm-up at the start.
    """
    rate = number("rate", rate, above=0)
    every_epochs = number("every_epochs", every_epochs, above=0)
    decay = keras.optimizers.schedules.InverseTimeDecay(
        learning_rate, every_epochs * steps_per_epoch, rate
    )
    return with_warmup(decay, warmup_epochs, steps_per_epoch)
