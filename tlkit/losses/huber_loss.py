"""Huber loss."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("huber", native="keras.losses.Huber", tasks="regression")
def huber(*, delta: Annotated[float, within(1e-3, 100)] = 1.0) -> Tensor:
    """(y - f)^2 / 2 for an error below delta, delta (|y - f| - delta / 2) for one above it.

    Labels and predictions: `(batch, numbers)`, each divided by its standard deviation. (Huber 1964,
    "Robust Estimation of a Location Parameter".)

    Args:
        delta: Error, in standard deviations, from which the loss is linear instead of quadratic.
    """
    return keras.losses.Huber(delta=delta)
