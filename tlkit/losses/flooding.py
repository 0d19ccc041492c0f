"""Flooding: keeps a loss from falling to zero."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Loss, Strength, number
from tlkit.registry import LOSSES, register
from tlkit.tensors import KerasLoss, Tensor

# Keras's class for a loss from a function, as `compile` makes one; it has no public name
OF_FUNCTION = keras.losses.MeanSquaredError.__bases__[0]


@register("flooding", wraps="loss")
@keras.saving.register_keras_serializable(package="tlkit")
class Flooding(keras.losses.Loss):
    """Keeps the training loss of a batch around a level b: |L - b| + b.

    Below the level b the gradient changes sign. L is the mean loss of the
    batch, so the wrapped loss must reduce to one number. (Ishida et al. 2020,
    "Do We Need Zero Training Loss After Achieving Zero Training Error?",
    equation 2.)

    Args:
        loss: A loss; or the name of one (tlkit's are looked up before Keras's), a function of
            labels and predictions, or a configuration, as `keras.losses.get` takes them. In a
            recipe: the name of a loss, or a loss with arguments.
        level: b, not negative.
        kwargs: `name` and `dtype`, as in every Keras loss; `reduction` is that of
            the wrapped loss.

    Labels and predictions: those of the wrapped loss.

    Raises:
        ValueError: if `level` is negative, or `loss` is unknown or does not reduce to a number.
    """

    def __init__(
        self,
        *,
        loss: Loss = "cross_entropy",
        level: Strength = 0.05,
        **kwargs: Any,
    ):
        if "reduction" in kwargs:
            raise ValueError(
                "flooding reduces as the wrapped loss does: give the reduction to that, got "
                f"reduction={kwargs['reduction']!r}"
            )
        super().__init__(**{"name": "flooding", **kwargs})
        self.level = number("level", level, least=0)
        self.loss = as_loss(loss)
        self.reduction = self.loss.reduction
        if self.reduction in (None, "none"):
            raise ValueError(f"the wrapped loss must reduce to a number, got {self.reduction!r}")

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> Tensor:
        value = self.loss(y_true, y_pred, sample_weight=sample_weight)
        return self.of_mean(value)

    def of_mean(self, value: Any) -> Tensor:
        """The flooded loss of a batch whose mean loss is `value`."""
        return keras.ops.abs(value - self.level) + self.level

    def get_config(self) -> dict[str, Any]:
        function = type(self.loss) is OF_FUNCTION
        loss = keras.losses.serialize(self.loss.fn if function else self.loss)
        return {"loss": loss, "level": self.level, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Flooding:
        return cls(**config)


def as_loss(loss: KerasLoss) -> keras.losses.Loss:
    """The loss that a name, a function, a configuration or a loss object stands for."""
    if isinstance(loss, keras.losses.Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        if LOSSES[loss].given:
            raise ValueError(f"{loss!r} needs {LOSSES[loss].given[0]}: give the loss itself")
        return LOSSES.build(loss)
    try:
        found = keras.losses.get(loss)
    except ValueError:
        found = None
    if found is None or not callable(found):
        raise ValueError(
            f"loss must be a Keras loss, a function or the name of one; {loss!r} is neither. tlkit "
            f"has {', '.join(LOSSES)}; others are those of keras.losses"
        )
    return found if isinstance(found, keras.losses.Loss) else OF_FUNCTION(found)
