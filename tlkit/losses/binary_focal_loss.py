"""Focal loss for each class."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Fraction, Share, number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("binary_focal", tasks="multi-label")
@keras.saving.register_keras_serializable(package="tlkit")
class BinaryFocal(keras.losses.Loss):
    """Binary cross-entropy that gives classes less weight the better the network predicts them.

    L = -a y (1 - p)^gamma log p - (1 - a) (1 - y) p^gamma log(1 - p), averaged over the classes.
    (Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5.) Keras's version is
    `BinaryFocalCrossentropy`, which clips probabilities: beyond a logit of 16 its gradient is 0.

    Args:
        gamma: Exponent; at 0 the loss is binary cross-entropy.
        alpha: a, the weight of images that have a class, in [0, 1]; by default both weights are 1.
        label_smoothing: s of the target (1 - s) y + s / 2, in [0, 1).
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Labels: 0 or 1 for each class, or fractions, `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if `gamma` is negative, or `alpha` or `label_smoothing` is out of range.
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

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        ops = keras.ops
        logits = ops.convert_to_tensor(y_pred)
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        targets = ops.cast(y_true, logits.dtype)
        targets = targets * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        with_class, without = (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)
        losses = with_class * targets * self._of_class(logits)
        losses += without * (1.0 - targets) * self._of_class(-logits)
        return ops.mean(losses, axis=-1)

    def _of_class(self, logits: Tensor) -> Tensor:
        """The loss where the target is 1."""
        # 0 ** gamma has no slope for gamma below 1
        doubt = keras.ops.maximum(keras.ops.sigmoid(-logits), keras.config.epsilon())
        return -(doubt**self.gamma) * keras.ops.log_sigmoid(logits)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}
