"""Cosine decay, with warm-up and restarts."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Epochs, Share, number, restarts_belong_together, within
from tlkit.registry import register
from tlkit.schedules.warmup import NUDGE, steps_after_warmup, with_warmup
from tlkit.tensors import KerasSchedule


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
) -> KerasSchedule:
    """Falls along half a cosine: `end + (start - end) (1 + cos(pi t / T)) / 2`.

    (Loshchilov and Hutter 2017, "SGDR", equation 5.)

    Args:
        learning_rate: Initial learning rate.
        epochs: Length T of the stage, including the warm-up.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        warmup_epochs: Epochs of linear warm-up at the start.
        end_factor: Final learning rate, as a fraction of the initial one.
        restart_epochs: Length of the first fall, after which the rate restarts; 0: no restarts.
        restart_growth: Length of each fall relative to the one before.
        restart_factor: Initial rate of each fall relative to the one before.

    Raises:
        ValueError: if an argument is out of its range, or sets restarts that are not enabled.
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
