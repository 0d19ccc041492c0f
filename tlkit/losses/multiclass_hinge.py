"""Multi-class hinge loss."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.losses.of_classes import OfClasses
from tlkit.losses.targets import dense_targets
from tlkit.registry import register
from tlkit.tensors import Tensor


@keras.saving.register_keras_serializable(package="tlkit")
class Hinge(OfClasses):
    """Keras's `CategoricalHinge` that also takes class ids; see `hinge`.

    Args:
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"name": "hinge", **kwargs})

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        scores = keras.ops.convert_to_tensor(y_pred)
        ops, targets = keras.ops, dense_targets(y_true, scores)
        zeros = ops.zeros_like(scores)
        # a class at -inf is no rival, and none has a share of what it is not
        positive = ops.sum(ops.where(targets == 0, zeros, targets * scores), axis=-1)
        rivals = ops.where(targets == 1, zeros, (1.0 - targets) * scores)
        return ops.maximum(0.0, 1.0 + ops.max(rivals, axis=-1) - positive)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = keras.losses.Loss.get_config(self)
        return config


@register("hinge", soft_labels=False, tasks="classification")
def hinge(**kwargs: Any) -> Hinge:
    """max(0, 1 + max(0, max_(k not y) z_k) - z_y), the loss of a support vector machine.

    Keras's `CategoricalHinge`, but it also takes class ids: the score z_y of the correct
    class should be at least 1, and at least 1 more than the largest other score. (Crammer
    and Singer 2001 compare only with the largest other score, even if it is below zero.)
    Needs hard labels: it is not defined for MixUp and CutMix.

    Args:
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Labels: ids `(batch,)` or one-hot `(batch, K)`. Predictions: scores `(batch, K)`.
    """
    return Hinge(**kwargs)
