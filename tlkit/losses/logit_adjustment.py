"""Logit adjustment for long-tailed classes."""

from __future__ import annotations

from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import Fraction, number, within
from tlkit.losses.of_classes import OfClasses, log_probabilities
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("logit_adjustment", tasks="classification")
@keras.saving.register_keras_serializable(package="tlkit")
class LogitAdjusted(OfClasses):
    """Cross-entropy of logits to which the log frequencies of the classes are added.

    L = CE(y, z + tau log pi), where pi_k is the fraction of class k in training: the network
    learns logits that are correct if all classes are equally frequent. (Menon et
    al. 2021, "Long-tail learning via logit adjustment", equation 10.)

    Args:
        class_counts: Number of training images of each class, `(K,)`; in a recipe, from the data.
        tau: Strength; at 0 the loss is cross-entropy.
        label_smoothing: Fraction of the target spread over all classes, in [0, 1).
        from_logits: Whether predictions are logits; otherwise probabilities.
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if a class has no images, the number of counts differs from the number of
            classes, or `tau` is negative.
    """

    def __init__(
        self,
        class_counts: Any,
        *,
        tau: Annotated[float, within(0, 10)] = 1.0,
        label_smoothing: Fraction = 0.0,
        from_logits: bool = True,
        **kwargs: Any,
    ):
        super().__init__(
            label_smoothing=label_smoothing,
            from_logits=from_logits,
            **{"name": "logit_adjustment", **kwargs},
        )
        counts = np.asarray(class_counts, "float64")
        if counts.ndim != 1 or not (counts > 0).all() or not np.isfinite(counts.sum()):
            raise ValueError(f"every class needs images, got class_counts {counts.tolist()}")
        self.class_counts = counts.tolist()
        self.tau = number("tau", tau, least=0)
        with np.errstate(over="ignore"):
            self.offset = (tau * np.log(counts / counts.sum())).astype("float32")
        if not np.isfinite(self.offset).all():
            raise ValueError(f"tau is too large for numbers of 32 bits, got {tau!r}")

    def of_targets(self, targets: Tensor, logits: Tensor) -> Tensor:
        if len(self.offset) != logits.shape[-1]:
            raise ValueError(
                f"class_counts has {len(self.offset)} values for {logits.shape[-1]} classes"
            )
        adjusted = logits + keras.ops.cast(self.offset, logits.dtype)
        return -keras.ops.sum(targets * log_probabilities(targets, adjusted), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_counts": self.class_counts, "tau": self.tau}
