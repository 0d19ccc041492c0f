"""The learning rate that follows the validation instead of the clock."""

from __future__ import annotations

from typing import Any, Literal

from tlkit.registry import Count, NonNegative, Positive, register


@register("halve_on_plateau")
def halve_on_plateau(
    *,
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss",
    patience: Count = 2,
    factor: Positive = 0.5,
    min_delta: NonNegative = 1e-4,
    cooldown: int = 0,
    minimum: NonNegative = 0.0,
) -> Any:
    """Halves the rate when validation stops improving; a callback, not a function of the step.

    Args:
        monitor: What to watch.
        patience: Epochs without improvement before the rate falls.
        factor: What the rate is multiplied by, below 1.
        min_delta: Least change that counts as an improvement.
        cooldown: Epochs after a fall in which none is counted.
        minimum: Least learning rate.

    Returns:
        A `tlkit.callbacks.HalveOnPlateau`.
    """
    from tlkit.callbacks.halve_on_plateau import HalveOnPlateau

    return HalveOnPlateau(monitor, patience, factor, min_delta, cooldown, minimum)
