"""Logit adjustment for long-tailed classes."""

from __future__ import annotations

from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import Fraction, within
from tlkit.losses.targets import dense_targets
from tlkit.registry import register


@register("logit_adjustment")
@keras.saving.register_keras_serializable(package="tlkit")
class LogitAdjusted(keras.losses.Loss):
    """Cross-entropy of logits to which the classes' frequencies were added.

    L = CE(y, z + tau log pi), pi_k the share of class k in training: the network
    learns logits that are right where all classes are alike frequent. (Menon et
    al. 2021, "Long-tail learning via logit adjustment", equation 10.)

    Args:
        class_counts: Training images of each class, `(K,)`; from the data in a recipe.
        tau: Strength; at 0 it is cross-entropy.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        kwargs: `name` and `reduction`, as every Keras loss takes them.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if a class has no images, or `tau` is negative.
    """

    def __init__(
        self,
        class_counts: Any,
        *,
        tau: Annotated[float, within(0, 10)] = 1.0,
        label_smoothing: Fraction = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "logit_adjustment", **kwargs})
        counts = np.asarray(class_counts, "float64")
        if counts.ndim != 1 or (counts <= 0).any():
            raise ValueError(f"every class needs images, got class_counts {counts.tolist()}")
        if tau < 0:
            raise ValueError(f"tau must not be negative, got {tau!r}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
        self.class_counts = counts.tolist()
        self.tau, self.label_smoothing = tau, label_smoothing
        self.offset = (tau * np.log(counts / counts.sum())).astype("float32")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = keras.ops.convert_to_tensor(y_pred)
        targets, classes = dense_targets(y_true, logits), logits.shape[-1]
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / classes
        adjusted = logits + keras.ops.cast(self.offset, logits.dtype)
        return -keras.ops.sum(targets * keras.ops.log_softmax(adjusted), axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {
            "class_counts": self.class_counts,
            "tau": self.tau,
            "label_smoothing": self.label_smoothing,
        }
        return {**super().get_config(), **own}
