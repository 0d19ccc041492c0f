"""Huber's loss."""

from __future__ import annotations

from typing import Annotated, Any

from tlkit.limits import within
from tlkit.registry import register


@register("huber", native="keras.losses.Huber", tasks="regression")
def huber(*, delta: Annotated[float, within(1e-3, 100)] = 1.0) -> Any:
    """(y - f)^2 / 2 of an error below delta, delta (|y - f| - delta / 2) of one above it.

    Labels and predictions: `(batch, numbers)`, each divided by its standard deviation. (Huber 1964,
    "Robust Estimation of a Location Parameter".)

    Args:
        delta: Error from which on it counts as it is and not as its square, in standard deviations.
    """
    import keras

    return keras.losses.Huber(delta=delta)
