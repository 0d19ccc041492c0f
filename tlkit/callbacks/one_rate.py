"""One callback alone sets an optimizer's learning rate."""

from __future__ import annotations

from typing import Any

import keras

SETTERS = "learning_rate_set_by"


class SetsRate(keras.callbacks.Callback):
    """A callback that sets the learning rate, and refuses others beside it that do.

    The callbacks of one `fit` share its `params`, in which each such callback writes its name.
    """

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        params.setdefault(SETTERS, []).append(self)

    def refuse_others(self) -> None:
        """To be called when training begins.

        Raises:
            ValueError: if another callback of tlkit, or a schedule in the optimizer, sets the rate.
        """
        own = type(self).__name__
        for other in (self.params or {}).get(SETTERS, []):
            if other is not self:
                raise ValueError(
                    f"{own} and {type(other).__name__} both set the learning rate; use one of them"
                )
        optimizer = self.model.optimizer
        try:
            optimizer.learning_rate = float(optimizer.learning_rate)
        except (TypeError, AttributeError):  # Keras's, where the rate is a schedule or a function
            raise ValueError(
                f"{own} sets the learning rate itself; give the optimizer a number, not a schedule"
            ) from None

    def refuse_change(self, left: float) -> None:
        """Raises where the rate is no longer what this callback left.

        Raises:
            ValueError: naming both rates.
        """
        found = float(self.model.optimizer.learning_rate)
        if found != left:
            raise ValueError(
                f"the learning rate is {found:.6g}, and {type(self).__name__} had left it at "
                f"{left:.6g}: another callback sets it too, as keras.callbacks."
                "LearningRateScheduler does; use one of them"
            )
