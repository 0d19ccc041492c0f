"""Asymmetric loss for each class."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Fraction, number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("asymmetric", tasks="multi-label")
@keras.saving.register_keras_serializable(package="tlkit")
class Asymmetric(keras.losses.Loss):
    """Binary cross-entropy that gives the many images without a class less weight than the others.

    L = -y (1 - p)^g+ log p - (1 - y) q^g- log(1 - q), q = max(p - m, 0), averaged over the classes.
    An image without a class contributes nothing where the network's probability is at most m.
    (Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", equations 4 to 7.)

    Args:
        gamma_positive: g+, the exponent for images that have a class.
        gamma_negative: g-, the exponent for images that do not.
        margin: m, in [0, 1).
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Labels: 0 or 1 for each class, or fractions, `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if an exponent is negative or `margin` is outside [0, 1).
    """

    def __init__(
        self,
        *,
        gamma_positive: Annotated[float, within(0, 20)] = 1.0,
        gamma_negative: Annotated[float, within(0, 20)] = 4.0,
        margin: Fraction = 0.05,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "asymmetric", **kwargs})
        self.gamma_positive = number("gamma_positive", gamma_positive, least=0)
        self.gamma_negative = number("gamma_negative", gamma_negative, least=0)
        self.margin = number("margin", margin, least=0, below=1)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        ops = keras.ops
        logits = ops.convert_to_tensor(y_pred)
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        targets = ops.cast(y_true, logits.dtype)
        least = keras.config.epsilon()  # 0 ** gamma has no slope for gamma below 1
        doubt = ops.maximum(ops.sigmoid(-logits), least)
        with_class = doubt**self.gamma_positive * ops.log_sigmoid(logits)
        if self.margin:
            without = ops.minimum(ops.sigmoid(-logits) + self.margin, 1.0)
            logs, moved = ops.log(without), ops.maximum(1.0 - without, least)
        else:
            logs, moved = ops.log_sigmoid(-logits), ops.maximum(ops.sigmoid(logits), least)
        without_class = moved**self.gamma_negative * logs
        return -ops.mean(targets * with_class + (1.0 - targets) * without_class, axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {
            "gamma_positive": self.gamma_positive,
            "gamma_negative": self.gamma_negative,
            "margin": self.margin,
        }
        return {**super().get_config(), **own}
