"""Ensures that only one callback sets an optimizer's learning rate."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.step_count import StepCount, accumulation_of

SETTERS = "learning_rate_set_by"


class SetsRate(keras.callbacks.Callback):
    """A callback that sets the learning rate, and rejects others that set it too.

    The callbacks of one `fit` share its `params`, in which each such callback registers itself.
    """

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        params.setdefault(SETTERS, []).append(self)

    def refuse_no_update(self, count: StepCount) -> None:
        """Rejects a `fit` without any update; call it when training begins and the steps are known.

        Raises:
            ValueError: if gradients are accumulated over more batches than there will be.
        """
        if not count.updates:
            raise ValueError(
                f"fit would make no update: {count.epochs} epochs of {count.batches_per_epoch} "
                f"batches are {count.batches}, and the optimizer accumulates gradients over "
                f"{count.accumulation}; lower its gradient_accumulation_steps, or train for more "
                "epochs"
            )

    def refuse_others(self) -> None:
        """Rejects anything else that sets the learning rate; call it when training begins.

        Raises:
            ValueError: if another callback of tlkit, or a schedule in the optimizer, sets the
                learning rate.
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

    def step_count(self) -> StepCount | None:
        """Batches and updates of the whole `fit`; None if Keras does not know its steps."""
        params = self.params or {}
        steps, epochs = params.get("steps"), params.get("epochs")
        if not steps or not epochs:
            return None
        return StepCount(int(steps), 1, int(epochs), accumulation_of(self.model.optimizer))

    def refuse_change(self, left: float) -> None:
        """Raises an error if the learning rate is no longer the one that this callback set.

        Raises:
            ValueError: if the rate has changed; the message names both rates.
        """
        found = float(self.model.optimizer.learning_rate)
        if found != left:
            raise ValueError(
                f"the learning rate is {found:.6g}, and {type(self).__name__} had left it at "
                f"{left:.6g}: another callback sets it too, as keras.callbacks."
                "LearningRateScheduler does; use one of them"
            )
