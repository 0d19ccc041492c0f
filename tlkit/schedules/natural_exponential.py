"""Natural exponential decay."""

from __future__ import annotations

import math
from typing import Annotated

from tlkit.limits import Epochs, number, within
from tlkit.registry import register
from tlkit.schedules.exponential import exponential
from tlkit.tensors import KerasSchedule


@register("natural_exponential")
def natural_exponential(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rate: Annotated[float, within(1e-4, 10)] = 0.1,
    warmup_epochs: Epochs = 0.0,
) -> KerasSchedule:
    """Falls as `learning_rate * exp(-rate * epoch)`.

    Args:
        learning_rate: Initial learning rate.
        epochs: Not used; every schedule accepts it.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        rate: Exponent of the decay per epoch.
        warmup_epochs: Epochs of linear warm-up at the start.
    """
    rate = number("rate", rate, above=0)
    return exponential(
        learning_rate, epochs, steps_per_epoch, rate=math.exp(-rate), warmup_epochs=warmup_epochs
    )
