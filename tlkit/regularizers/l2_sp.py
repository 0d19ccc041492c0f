"""L2-SP: pulls weights towards their starting values instead of zero."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.limits import Strength, number
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("l2_sp")
@keras.saving.register_keras_serializable(package="tlkit")
class L2SP(keras.regularizers.Regularizer):
    """Penalises the distance from the pretrained weights.

    alpha / 2 * ||w - w0||^2 for weights with pretrained values w0, and
    beta / 2 * ||w||^2 for new ones. (Li et al. 2018, "Explicit Inductive Bias for
    Transfer Learning with Convolutional Networks", equation 2.)

    Args:
        start: w0, an array of the weight's shape; None for a new weight.
        alpha: Strength for pretrained weights.
        beta: Strength for new weights.

    Raises:
        ValueError: if a strength is negative.
    """

    def __init__(self, start: Any, *, alpha: Strength = 0.01, beta: Strength = 0.01):
        self.start = None if start is None else np.asarray(start, "float32")
        self.alpha, self.beta = number("alpha", alpha, least=0), number("beta", beta, least=0)

    def __call__(self, weight: Tensor) -> Tensor:
        if self.start is None:
            return self.beta / 2 * keras.ops.sum(keras.ops.square(weight))
        return self.alpha / 2 * keras.ops.sum(keras.ops.square(weight - self.start))

    def get_config(self) -> dict[str, Any]:
        start = None if self.start is None else self.start.tolist()
        return {"start": start, "alpha": self.alpha, "beta": self.beta}
