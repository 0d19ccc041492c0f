"""Mean squared error."""

from __future__ import annotations

from typing import Any

from tlkit.registry import register


@register(
    "mean_squared_error", native="keras.losses.MeanSquaredError", tasks="regression", solved=True
)
def mean_squared_error() -> Any:
    """Mean of (y - f)^2 over the numbers, each divided by its standard deviation.

    Labels and predictions: `(batch, numbers)`. The larger an error, the more it counts.
    """
    import keras

    return keras.losses.MeanSquaredError()
