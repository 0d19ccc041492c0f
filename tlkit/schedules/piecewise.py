"""Piecewise constant decay."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Epochs, rising_boundaries, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, with_warmup
from tlkit.tensors import KerasSchedule


@register("piecewise", rule="rising_boundaries")
def piecewise(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    boundaries: list[Epochs],
    factors: list[Annotated[float, within(1e-8, 1e3)]],
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Holds `learning_rate * factors[i]` from epoch `boundaries[i]` on.

    Args:
        learning_rate: Learning rate before the first boundary.
        epochs: Not used; every schedule accepts it.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        boundaries: Epochs in rising order, counted from the end of the warm-up.
        factors: Factors of `learning_rate`, one per boundary.
        warmup_epochs: Epochs of linear warm-up at the start.

    Raises:
        ValueError: if the numbers of factors and boundaries differ, or the boundaries do not
            rise.
    """
    rising_boundaries(boundaries, factors)
    steps = [_just_before(boundary * steps_per_epoch) for boundary in boundaries]
    rates = [learning_rate, *(learning_rate * factor for factor in factors)]
    decay = keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates)
    return with_warmup(decay, warmup_epochs, steps_per_epoch)


def _just_before(place: float) -> float:
    """The boundary to pass to Keras, so that the rate changes at the first step of an epoch.

    Keras changes the rate after a boundary. It casts the boundary to the type of the step,
    which truncates it if steps are integers.
    """
    return place - max(1e-4, NUDGE * place) if place > 0 else -1.0
