"""Halves the learning rate when validation no longer improves."""

from __future__ import annotations

from typing import Any, Literal

import keras

from tlkit.callbacks.direction import direction_of
from tlkit.callbacks.one_rate import SetsRate
from tlkit.limits import number, one_of, whole


class HalveOnPlateau(SetsRate, keras.callbacks.ReduceLROnPlateau):
    """`ReduceLROnPlateau` with a factor of one half.

    Keras callbacks do not save their own state. When `BackupAndRestore` or a saved model restores
    training, the learning rate continues as it was, but the best value and the count of epochs
    without improvement start again. `tlkit finetune --resume` restores them.

    Args:
        monitor: Logged value to monitor.
        patience: Epochs without improvement before the learning rate is reduced, 1 or more.
        factor: Factor by which the learning rate is multiplied, in (0, 1).
        min_delta: Smallest change that counts as an improvement.
        cooldown: Epochs after a reduction that do not count towards `patience`.
        minimum: Lowest learning rate.
        mode: Direction: `max` if larger values are better, `min` if smaller ones are. `auto` goes
            by name: accuracies, AUC, precision, recall, F1, mAP, IoU and R2 are better when
            larger, losses and errors when smaller. For any other name, the direction is taken
            at the end of the first epoch from the metric of `compile`, if that defines one.

    Raises:
        ValueError: if an argument is out of its range, `auto` cannot determine the direction of the
            monitored value, or, in `fit`, something else sets the learning rate too.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 2,
        factor: float = 0.5,
        min_delta: float = 1e-4,
        *,
        cooldown: int = 0,
        minimum: float = 0.0,
        mode: Literal["auto", "min", "max"] = "auto",
    ):
        one_of("mode", mode, ("auto", "min", "max"))
        super().__init__(
            monitor=monitor,
            factor=number("factor", factor, above=0, below=1),
            patience=whole("patience", patience),
            mode=mode if mode != "auto" else direction_of(monitor) or "auto",
            min_delta=number("min_delta", min_delta, least=0),
            cooldown=whole("cooldown", cooldown, least=0),
            min_lr=number("minimum", minimum, least=0),
        )
        self._left: list[float] = []  # the rate at the end of the last epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.refuse_others()
        count = self.step_count()
        if count is not None:
            self.refuse_no_update(count)
        self._left = []
        super().on_train_begin(logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == 0 and self._left:
            self.refuse_change(self._left[0])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._left:
            self.refuse_change(self._left[0])
        super().on_epoch_end(epoch, logs)
        self._left = [float(self.model.optimizer.learning_rate)]
