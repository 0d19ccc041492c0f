"""Flooding: a loss that is kept from falling to zero."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Loss, Strength
from tlkit.registry import register


@register("flooding", wraps="loss")
@keras.saving.register_keras_serializable(package="tlkit")
class Flooding(keras.losses.Loss):
    """Keeps the training loss of a batch around a level: |L - b| + b.

    Below the level b the gradient changes its sign. L is the mean loss of the
    batch, so the wrapped loss must reduce to one number. (Ishida et al. 2020,
    "Do We Need Zero Training Loss After Achieving Zero Training Error?",
    equation 2.)

    Args:
        loss: Any Keras loss; in a recipe the name of one, or one with arguments.
        level: b, not negative.
        kwargs: `name`, as every Keras loss takes it.

    Labels and predictions: those of the wrapped loss.

    Raises:
        ValueError: if `level` is negative or `loss` does not reduce.
    """

    def __init__(
        self,
        *,
        loss: Loss = "cross_entropy",
        level: Strength = 0.05,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "flooding", **kwargs})
        if level < 0:
            raise ValueError(f"level must not be negative, got {level!r}")
        if isinstance(loss, str):
            from tlkit import losses

            loss = getattr(losses, loss)()
        if loss.reduction in (None, "none"):
            raise ValueError(f"the wrapped loss must reduce to a number, got {loss.reduction!r}")
        self.loss, self.level = loss, float(level)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        value = self.loss(y_true, y_pred, sample_weight=sample_weight)
        return keras.ops.abs(value - self.level) + self.level

    def get_config(self) -> dict[str, Any]:
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, "level": self.level, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Flooding:
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})
