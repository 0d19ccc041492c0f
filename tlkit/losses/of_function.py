"""A function of labels and logits as a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class FunctionLoss(keras.losses.Loss):
    """A function as Keras's `compile` takes it, `(y_true, y_pred) -> (batch,)`, as a loss.

    Args:
        function: Of labels `(batch, classes)` and logits `(batch, classes)`.
        name: Of the loss.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str = "function_loss"):
        super().__init__(name=name)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


def as_loss(made: Any) -> Any:
    """A Keras loss: what is one already, or one of a function."""
    return made if isinstance(made, keras.losses.Loss) else FunctionLoss(made)
