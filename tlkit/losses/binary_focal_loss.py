"""Focal loss of each class."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Fraction, Share, number, within
from tlkit.registry import register


@register("binary_focal", tasks="multi-label")
@keras.saving.register_keras_serializable(package="tlkit")
class BinaryFocal(keras.losses.Loss):
    """Binary cross-entropy that counts a class the less, the surer the network is of it.

    L = -a y (1 - p)^gamma log p - (1 - a) (1 - y) p^gamma log(1 - p), the mean of the classes.
    (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5.) Keras has it as
    `BinaryFocalCrossentropy`, which clips probabilities: beyond a logit of 16 its slope is 0.

    Args:
        gamma: Exponent; at 0 it is binary cross-entropy.
        alpha: a, the weight of images that have a class, in [0, 1]; both weigh 1 where not given.
        label_smoothing: s of the target (1 - s) y + s / 2, in [0, 1).
        kwargs: `name`, `reduction` and `dtype`, as every Keras loss takes them.

    Labels: 0 or 1 for each class, or shares, `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if `gamma` is negative, or `alpha` or `label_smoothing` outside its limits.
    """

    def __init__(
        self,
        *,
        gamma: Annotated[float, within(0, 20)] = 2.0,
        alpha: Share | None = None,
        label_smoothing: Fraction = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "binary_focal", **kwargs})
        self.gamma = number("gamma", gamma, least=0)
        self.alpha = None if alpha is None else number("alpha", alpha, least=0, most=1)
        self.label_smoothing = number("label_smoothing", label_smoothing, least=0, below=1)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        logits = ops.convert_to_tensor(y_pred)
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        targets = ops.cast(y_true, logits.dtype)
        targets = targets * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        with_class, without = (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)
        losses = with_class * targets * self._of_class(logits)
        losses += without * (1.0 - targets) * self._of_class(-logits)
        return ops.mean(losses, axis=-1)

    def _of_class(self, logits: Any) -> Any:
        """The loss where the answer should be yes."""
        # 0 ** gamma has no slope for gamma below 1
        doubt = keras.ops.maximum(keras.ops.sigmoid(-logits), keras.config.epsilon())
        return -(doubt**self.gamma) * keras.ops.log_sigmoid(logits)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}
