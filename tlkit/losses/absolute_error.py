"""Mean absolute error."""

from __future__ import annotations

import keras

from tlkit.registry import register
from tlkit.tensors import Tensor


@register("mean_absolute_error", native="keras.losses.MeanAbsoluteError", tasks="regression")
def mean_absolute_error() -> Tensor:
    """Mean of |y - f| over the numbers, each divided by its standard deviation.

    Labels and predictions: `(batch, numbers)`. Outlying labels count no more than others,
    since the loss learns the median.
    """
    return keras.losses.MeanAbsoluteError()
