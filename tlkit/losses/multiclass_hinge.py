"""The hinge loss of several classes."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.losses.of_classes import OfClasses
from tlkit.losses.targets import dense_targets
from tlkit.registry import register


@keras.saving.register_keras_serializable(package="tlkit")
class Hinge(OfClasses):
    """Keras's `CategoricalHinge`, which takes class ids too: see `hinge`.

    Args:
        kwargs: `name`, `reduction` and `dtype`, as every Keras loss takes them.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"name": "hinge", **kwargs})

    def call(self, y_true: Any, y_pred: Any) -> Any:
        scores = keras.ops.convert_to_tensor(y_pred)
        ops, targets = keras.ops, dense_targets(y_true, scores)
        zeros = ops.zeros_like(scores)
        # a class at -inf is no rival, and none has a share of what it is not
        positive = ops.sum(ops.where(targets == 0, zeros, targets * scores), axis=-1)
        rivals = ops.where(targets == 1, zeros, (1.0 - targets) * scores)
        return ops.maximum(0.0, 1.0 + ops.max(rivals, axis=-1) - positive)

    def get_config(self) -> dict[str, Any]:
        return keras.losses.Loss.get_config(self)


@register("hinge", soft_labels=False, tasks="classification")
def hinge(**kwargs: Any) -> Hinge:
    """max(0, 1 + max(0, max_(k not y) z_k) - z_y), the loss of a support vector machine.

    Keras's `CategoricalHinge`, which takes class ids too: the score z_y of the right
    class is to be 1 or more, and 1 more than the largest other. (Crammer and Singer
    2001 compare with the largest other alone, even where that is below zero.) Needs
    whole labels: it has no meaning for MixUp and CutMix.

    Args:
        kwargs: `name`, `reduction` and `dtype`, as every Keras loss takes them.

    Labels: ids `(batch,)` or one-hot `(batch, K)`. Predictions: scores `(batch, K)`.
    """
    return Hinge(**kwargs)
