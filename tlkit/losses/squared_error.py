"""Mean squared error."""

from __future__ import annotations

import keras

from tlkit.registry import register
from tlkit.tensors import Tensor


@register(
    "mean_squared_error", native="keras.losses.MeanSquaredError", tasks="regression", solved=True
)
def mean_squared_error() -> Tensor:
    """Mean of (y - f)^2 over the numbers, each divided by its standard deviation.

    Labels and predictions: `(batch, numbers)`. The larger an error, the more it counts.
    """
    return keras.losses.MeanSquaredError()
