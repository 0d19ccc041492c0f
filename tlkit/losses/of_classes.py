"""What losses of classes have in common."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import number
from tlkit.losses.targets import as_logits, dense_targets


class OfClasses(keras.losses.Loss):
    """A loss of one label an image (or place) out of several classes.

    A subclass says what it is of each image by `of_targets(targets, logits)`, both
    `(batch, ..., classes)`.

    Args:
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        from_logits: Predictions are logits; else probabilities.
        kwargs: `name`, `reduction` and `dtype`, as every Keras loss takes them.

    Raises:
        ValueError: if `label_smoothing` is outside [0, 1).
    """

    def __init__(self, *, label_smoothing: float = 0.0, from_logits: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.label_smoothing = number("label_smoothing", label_smoothing, least=0, below=1)
        self.from_logits = bool(from_logits)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self.dtype in ("float16", "bfloat16"):
            # Keras would round large ids
            y_true = dense_targets(y_true, keras.ops.convert_to_tensor(y_pred))
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = as_logits(y_pred, self.from_logits)
        targets = dense_targets(y_true, logits)
        if self.label_smoothing:
            share = self.label_smoothing / logits.shape[-1]
            targets = targets * (1.0 - self.label_smoothing) + share
        return self.of_targets(targets, logits)

    def of_targets(self, targets: Any, logits: Any) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        own = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **own}


def log_probabilities(targets: Any, logits: Any) -> Any:
    """log softmax, and 0 where the target is: a class at -inf (masked) must not make 0 times inf."""
    logs = keras.ops.log_softmax(logits, axis=-1)
    return keras.ops.where(targets == 0, keras.ops.zeros_like(logs), logs)
