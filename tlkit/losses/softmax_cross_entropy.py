"""Cross-entropy."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Fraction
from tlkit.losses.of_classes import OfClasses, log_probabilities
from tlkit.registry import register
from tlkit.tensors import Tensor


@keras.saving.register_keras_serializable(package="tlkit")
class CrossEntropy(OfClasses):
    """Keras's `CategoricalCrossentropy` and `SparseCategoricalCrossentropy` in one.

    -sum_k y_k log p_k, with optional smoothing of the label y: (1 - s) y + s / K.

    Args:
        label_smoothing: s, in [0, 1).
        kwargs: `from_logits` (True), `name`, `reduction`, `dtype`, as in Keras's losses.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1).
    """

    def __init__(self, *, label_smoothing: float = 0.0, **kwargs: Any):
        super().__init__(label_smoothing=label_smoothing, **{"name": "cross_entropy", **kwargs})

    def of_targets(self, targets: Tensor, logits: Tensor) -> Tensor:
        return -keras.ops.sum(targets * log_probabilities(targets, logits), axis=-1)


@register("cross_entropy", tasks="classification", solved=True)
def cross_entropy(*, label_smoothing: Fraction = 0.0, **kwargs: Any) -> CrossEntropy:
    """Cross-entropy, -sum_k y_k log p_k, with optional label smoothing.

    With smoothing s the target is (1 - s) y + s / K. (Szegedy et al. 2016,
    "Rethinking the Inception Architecture", section 7.) Keras's version for one-hot labels
    is `CategoricalCrossentropy`; this one also takes class ids.

    Args:
        label_smoothing: Fraction of the target spread over all classes, in [0, 1).
        kwargs: `from_logits` (True), `name`, `reduction`, as in Keras's losses.

    Labels: ids `(batch,)`, one-hot or soft `(batch, K)`. Predictions: logits `(batch, K)`.
    """
    return CrossEntropy(label_smoothing=label_smoothing, **kwargs)
