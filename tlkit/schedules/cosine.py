"""Cosine decay, with warm-up and restarts."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Epochs, Share, number, restarts_belong_together, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, steps_after_warmup, with_warmup


@register("cosine", rule="restarts_belong_together")
def cosine(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    warmup_epochs: Epochs = 0.0,
    end_factor: Share = 0.0,
    restart_epochs: Epochs = 0.0,
    restart_growth: Annotated[float, within(1, 10)] = 2.0,
    restart_factor: Annotated[float, within(1e-3, 1)] = 1.0,
) -> Any:
    """Falls along half a cosine: `end + (start - end) (1 + cos(pi t / T)) / 2`.

    (Loshchilov and Hutter 2017, "SGDR", equation 5.)

    Args:
        learning_rate: Rate at the start.
        epochs: Length T of the stage, the warm-up included.
        steps_per_epoch: Updates an epoch has; with accumulation no whole number.
        warmup_epochs: Epochs of linear rise before.
        end_factor: Share of the rate at the end.
        restart_epochs: If not 0, the first fall takes this long, then the rate starts again.
        restart_growth: Each fall takes this many times as long as the one before.
        restart_factor: Each fall starts at this many times the rate of the one before.

    Raises:
        ValueError: if an argument is out of its range, or is about restarts that there are not.
    """
    end_factor = number("end_factor", end_factor, least=0, most=1)
    restart_epochs = number("restart_epochs", restart_epochs, least=0)
    restart_growth = number("restart_growth", restart_growth, least=1)
    restart_factor = number("restart_factor", restart_factor, above=0, most=1)
    restarts_belong_together(restart_epochs, restart_growth, restart_factor)
    schedules = keras.optimizers.schedules
    if restart_epochs:
        decay = schedules.CosineDecayRestarts(
            learning_rate,
            restart_epochs * steps_per_epoch * (1.0 - NUDGE),
            restart_growth,
            restart_factor,
            end_factor,
        )
    else:
        steps = steps_after_warmup(epochs, warmup_epochs, steps_per_epoch)
        decay = schedules.CosineDecay(learning_rate, steps, end_factor)
    return with_warmup(decay, warmup_epochs, steps_per_epoch)
