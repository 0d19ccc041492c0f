"""Wraps a function of labels and logits as a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tlkit.tensors import KerasLoss, Tensor


class FunctionLoss(keras.losses.Loss):
    """A loss from a function `(y_true, y_pred) -> (batch,)`, as Keras's `compile` takes it.

    Args:
        function: Function of labels `(batch, classes)` and logits `(batch, classes)`.
        name: Name of the loss.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str = "function_loss"):
        super().__init__(name=name)
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.function(y_true, y_pred)


def as_loss(made: Any) -> KerasLoss:
    """`made` itself if it is a Keras loss, else a Keras loss from the function `made`."""
    return made if isinstance(made, keras.losses.Loss) else FunctionLoss(made)
