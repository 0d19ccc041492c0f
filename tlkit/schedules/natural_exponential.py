"""Natural exponential decay."""

from __future__ import annotations

import math
from typing import Annotated, Any

from tlkit.limits import Epochs, number, within
from tlkit.registry import register
from tlkit.schedules.exponential import exponential


@register("natural_exponential")
def natural_exponential(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rate: Annotated[float, within(1e-4, 10)] = 0.1,
    warmup_epochs: Epochs = 0.0,
) -> Any:
    """Falls as `learning_rate * exp(-rate * epoch)`.

    Args:
        learning_rate: Rate at the start.
        epochs: Not used; every schedule takes it.
        steps_per_epoch: Updates an epoch has; with accumulation no whole number.
        rate: Exponent per epoch.
        warmup_epochs: Epochs of linear rise before.
    """
    rate = number("rate", rate, above=0)
    return exponential(
        learning_rate, epochs, steps_per_epoch, rate=math.exp(-rate), warmup_epochs=warmup_epochs
    )
