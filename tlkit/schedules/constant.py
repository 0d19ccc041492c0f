"""One learning rate throughout."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Epochs
from tlkit.registry import register
from tlkit.schedules.warmup import with_warmup


@register("constant", callback="ConstantRate")
def constant(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    warmup_epochs: Epochs = 0.0,
) -> Any:
    """The same learning rate at every step.

    Args:
        learning_rate: The rate.
        epochs: Not used; every schedule takes it.
        steps_per_epoch: Updates an epoch has; with accumulation no whole number.
        warmup_epochs: Epochs of linear rise before.
    """
    flat = keras.optimizers.schedules.PiecewiseConstantDecay([0.0], [learning_rate, learning_rate])
    return with_warmup(flat, warmup_epochs, steps_per_epoch)
