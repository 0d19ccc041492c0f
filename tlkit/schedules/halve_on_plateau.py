"""A learning rate that depends on validation instead of the step."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from tlkit.limits import within
from tlkit.registry import register


@register("halve_on_plateau", makes_callback=True)
def halve_on_plateau(
    *,
    monitor: Literal["val_loss", "val_accuracy", "val_map", "val_r2"] = "val_loss",
    patience: Annotated[int, within(1, 10_000)] = 2,
    factor: Annotated[float, within(1e-3, 0.999)] = 0.5,
    min_delta: Annotated[float, within(0, 100)] = 1e-4,
    cooldown: Annotated[int, within(0, 10_000)] = 0,
    minimum: Annotated[float, within(0, 100)] = 0.0,
) -> Any:
    """Halves the learning rate when validation stops improving; a callback, not a schedule.

    Args:
        monitor: Metric to monitor.
        patience: Epochs without improvement before the learning rate is reduced.
        factor: Factor by which the learning rate is multiplied, below 1.
        min_delta: Smallest change that counts as an improvement.
        cooldown: Epochs after a reduction that do not count towards `patience`.
        minimum: Lowest learning rate.

    Returns:
        A `tlkit.callbacks.HalveOnPlateau`.
    """
    from tlkit.callbacks.halve_on_plateau import HalveOnPlateau

    return HalveOnPlateau(monitor, patience, factor, min_delta, cooldown=cooldown, minimum=minimum)
