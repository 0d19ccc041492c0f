"""Reports the progress of training to the trackers."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from tlkit.recipe.schema import Component
from tlkit.tasks.base import Metric
from tlkit.trackers.tracker import Place
from tlkit.train.tracking import Trackers

COLUMNS = (
    "stage",
    "epoch",
    "step",
    "learning_rate",
    "loss",
)


class Recorder(keras.callbacks.Callback):
    """Writes a row per batch, with its learning rate, and one per epoch, with its validation.

    The column `step` counts batches. If gradients are accumulated, the column `update` in `more`
    counts the updates so far.

    Args:
        folder: Run folder.
        metric: Metric to record besides the loss.
        step: Batches of the whole run that are done.
        more: Additional columns.
        trackers: Trackers of the run; by default, those that every recipe has.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        metric: Metric,
        step: int = 0,
        more: Sequence[str] = (),
        trackers: Trackers | None = None,
    ):
        super().__init__()
        self.step = step
        self._trackers = trackers or Trackers([Component("tensorboard")], folder)
        self._metric = metric
        self._columns = [*COLUMNS, metric.name, "val_loss", metric.val, "images_per_second", *more]
        self._epoch = 0
        self.rewind()

    def rewind(self) -> None:
        """Training continues from `step`; later rows will be written again."""
        self._trackers.trains(self._columns, self.step)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        shown = ("learning_rate", "loss", self._metric.name, "gradient_norm", "update")
        self._trackers.step(self._place(), {key: logs[key] for key in shown if key in logs})
        self.step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: logs[key] for key in self._columns[3:] if logs and key in logs}
        self._trackers.epoch(self._place(), values)

    def _place(self) -> Place:
        return Place(self.params["stage"], self._epoch + 1, self.step)

    def flush(self) -> None:
        """Makes sure that all rows so far are written out."""
        self._trackers.flush()

    def close(self) -> None:
        """Closes the trackers, if no run does so."""
        self._trackers.ended({})
