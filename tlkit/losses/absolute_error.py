"""Mean absolute error."""

from __future__ import annotations

from typing import Any

from tlkit.registry import register


@register("mean_absolute_error", native="keras.losses.MeanAbsoluteError", tasks="regression")
def mean_absolute_error() -> Any:
    """Mean of |y - f| over the numbers, each divided by its standard deviation.

    Labels and predictions: `(batch, numbers)`. Labels that are far off count no more than others,
    since it is the median that is learned.
    """
    import keras

    return keras.losses.MeanAbsoluteError()
