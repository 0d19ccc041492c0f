"""Polynomial decay."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Epochs, Share, number, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, steps_after_warmup, with_warmup
from tlkit.tensors import KerasSchedule


@register("polynomial")
def polynomial(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    power: Annotated[float, within(0.01, 100)] = 1.0,
    end_factor: Share = 0.0,
    cycle_epochs: Epochs = 0.0,
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Falls to `end = end_factor * learning_rate` as `(start - end) (1 - t / T)^power + end`.

    Args:
        learning_rate: Initial learning rate.
        epochs: Length T of the stage.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        power: Exponent of the decay; 1 is linear.
        end_factor: Final learning rate, as a fraction of the initial one.
        cycle_epochs: If not 0, T is this length; at the end of each cycle the rate
            rises again and T grows by this length.
        warmup_epochs: Epochs of linear warm-up at the start.
    """
    power = number("power", power, above=0)
    end_factor = number("end_factor", end_factor, least=0, most=1)
    cycle_epochs = number("cycle_epochs", cycle_epochs, least=0)
    steps = (
        cycle_epochs * steps_per_epoch * (1.0 + NUDGE)
        if cycle_epochs
        else steps_after_warmup(epochs, warmup_epochs, steps_per_epoch)
    )
    decay = keras.optimizers.schedules.PolynomialDecay(
        learning_rate, steps, learning_rate * end_factor, power, cycle=bool(cycle_epochs)
    )
    return with_warmup(decay, warmup_epochs, steps_per_epoch)
