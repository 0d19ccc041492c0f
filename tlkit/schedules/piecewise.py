"""Piecewise constant decay."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Epochs, rising_boundaries, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, with_warmup


@register("piecewise", rule="rising_boundaries")
def piecewise(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    boundaries: list[Epochs],
    factors: list[Annotated[float, within(1e-8, 1e3)]],
    warmup_epochs: Epochs = 0.0,
) -> Any:
    """Holds `learning_rate * factors[i]` from epoch `boundaries[i]` on.

    Args:
        learning_rate: Rate before the first boundary.
        epochs: Not used; every schedule takes it.
        steps_per_epoch: Updates an epoch has; with accumulation no whole number.
        boundaries: Rising epochs, counted after the warm-up.
        factors: As many factors of `learning_rate`.
        warmup_epochs: Epochs of linear rise before.

    Raises:
        ValueError: if there are not as many factors as boundaries, or they do not rise.
    """
    rising_boundaries(boundaries, factors)
    steps = [_just_before(boundary * steps_per_epoch) for boundary in boundaries]
    rates = [learning_rate, *(learning_rate * factor for factor in factors)]
    decay = keras.optimizers.schedules.PiecewiseConstantDecay(steps, rates)
    return with_warmup(decay, warmup_epochs, steps_per_epoch)


def _just_before(place: float) -> float:
    """The boundary for Keras, which changes behind it; an epoch begins with its own first step.

    Keras casts it to the type of the step, so that it is cut off where steps are whole numbers.
    """
    return place - max(1e-4, NUDGE * place) if place > 0 else -1.0
