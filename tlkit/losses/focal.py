"""Focal loss."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Fraction, Positive, several, within
from tlkit.losses.targets import dense_targets
from tlkit.registry import register


@register("focal")
@keras.saving.register_keras_serializable(package="tlkit")
class Focal(keras.losses.Loss):
    """Cross-entropy that counts images the less, the surer the network is of them.

    L = -sum_k alpha_k y_k (1 - p_k)^gamma log p_k. (Lin et al. 2017, "Focal Loss for
    Dense Object Detection", equation 5.) Keras has it for one-hot labels as
    `CategoricalFocalCrossentropy`; this one also takes class ids, works on
    logits, so that nothing is clipped, and smooths labels.

    Args:
        gamma: Exponent; at 0 it is cross-entropy.
        alpha: Factor of each class, one number or K of them; 1 by default.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        kwargs: `name` and `reduction`, as every Keras loss takes them.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if `gamma` is negative or `label_smoothing` outside [0, 1).
    """

    def __init__(
        self,
        *,
        gamma: Annotated[float, within(0, 20)] = 2.0,
        alpha: Positive | Annotated[list[Positive], several] = 1.0,
        label_smoothing: Fraction = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "focal", **kwargs})
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma!r}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
        self.gamma, self.alpha, self.label_smoothing = gamma, alpha, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = keras.ops.convert_to_tensor(y_pred)
        targets, classes = dense_targets(y_true, logits), logits.shape[-1]
        if isinstance(self.alpha, list | tuple) and len(self.alpha) != classes:
            raise ValueError(f"alpha has {len(self.alpha)} values for {classes} classes")
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / classes
        logs = keras.ops.log_softmax(logits)
        # 0 ** gamma has no slope for gamma below 1
        doubt = keras.ops.maximum(1.0 - keras.ops.exp(logs), keras.config.epsilon())
        factors = keras.ops.convert_to_tensor(self.alpha, dtype=logits.dtype)
        return -keras.ops.sum(factors * targets * doubt**self.gamma * logs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"gamma": self.gamma, "alpha": self.alpha, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}
