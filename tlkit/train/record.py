"""Tells the trackers the course of training."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from tlkit.recipe.schema import Named
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
    """One row a batch, with its learning rate, and one an epoch, with the validation.

    The column `step` counts batches. Where gradients are accumulated, `update` among `more` counts
    the updates that are made behind each.

    Args:
        folder: The run's folder.
        metric: What is watched beside the loss.
        step: Batches of the whole run that are done.
        more: Columns beside the usual ones.
        trackers: Of the run; those that every recipe has by default, if not given.
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
        self._trackers = trackers or Trackers([Named("tensorboard")], folder)
        self._metric = metric
        self._columns = [*COLUMNS, metric.name, "val_loss", metric.val, "images_per_second", *more]
        self._epoch = 0
        self.rewind()

    def rewind(self) -> None:
        """Training goes on from `step`; what was written of later ones will be told again."""
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
        """Makes sure that all that was told is written down."""
        self._trackers.flush()

    def close(self) -> None:
        """Ends the trackers, where no run does."""
        self._trackers.ended({})
