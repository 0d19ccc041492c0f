"""Common base of the losses for classes."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import number
from tlkit.losses.targets import as_logits, dense_targets
from tlkit.tensors import Tensor


class OfClasses(keras.losses.Loss):
    """A loss for one label per image (or position) out of several classes.

    A subclass computes the loss of each image in `of_targets(targets, logits)`, where both
    arguments are `(batch, ..., classes)`.

    Args:
        label_smoothing: Fraction of the target spread over all classes, in [0, 1).
        from_logits: Whether predictions are logits; otherwise probabilities.
        kwargs: `name`, `reduction` and `dtype`, as in every Keras loss.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1).
    """

    def __init__(self, *, label_smoothing: float = 0.0, from_logits: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.label_smoothing = number("label_smoothing", label_smoothing, least=0, below=1)
        self.from_logits = bool(from_logits)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> Tensor:
        if self.dtype in ("float16", "bfloat16"):
            # Keras would round large ids
            y_true = dense_targets(y_true, keras.ops.convert_to_tensor(y_pred))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        logits = as_logits(y_pred, self.from_logits)
        targets = dense_targets(y_true, logits)
        if self.label_smoothing:
            share = self.label_smoothing / logits.shape[-1]
            targets = targets * (1.0 - self.label_smoothing) + share
        return self.of_targets(targets, logits)

    def of_targets(self, targets: Tensor, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        own = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **own}


def log_probabilities(targets: Tensor, logits: Tensor) -> Tensor:
    """log softmax, 0 where the target is 0: a masked class (-inf) must not yield 0 times inf."""
    logs = keras.ops.log_softmax(logits, axis=-1)
    return keras.ops.where(targets == 0, keras.ops.zeros_like(logs), logs)
