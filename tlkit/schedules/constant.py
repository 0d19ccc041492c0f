"""A constant learning rate."""

from __future__ import annotations

import keras

from tlkit.limits import Epochs
from tlkit.registry import register
from tlkit.schedules.warmup import with_warmup
from tlkit.tensors import KerasSchedule


@register("constant", callback="ConstantRate")
def constant(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Keeps the same learning rate at every step.

    Args:
        learning_rate: Learning rate.
        epochs: Not used; every schedule accepts it.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        warmup_epochs: Epochs of linear warm-up at the start.
    """
    flat = keras.optimizers.schedules.PiecewiseConstantDecay([0.0], [learning_rate, learning_rate])
    return with_warmup(flat, warmup_epochs, steps_per_epoch)
