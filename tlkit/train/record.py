"""Writes the course of training to metrics.csv and TensorBoard."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import socket
import time
from collections.abc import Sequence
from typing import Any

import keras

from tlkit.tasks.base import Metric
from tlkit.text import cell

COLUMNS = (
    "stage",
    "epoch",
    "step",
    "learning_rate",
    "loss",
)


class Board:
    """A file for TensorBoard.

    `tf.summary.scalar` runs an operation for each number; a step of a head on features takes hardly
    longer. The file is one of TFRecords that each hold an `Event`, here with all numbers of a step.

    Args:
        folder: For TensorBoard's `--logdir`; made if it is not there.
    """

    def __init__(self, folder: pathlib.Path):
        import tensorflow as tf

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}.v2"
        self._file = tf.io.TFRecordWriter(str(folder / name))
        self._add(file_version="brain.Event:2")

    def write(self, values: dict[str, float], step: int) -> None:
        """Adds scalars by their names."""
        from tensorflow.compat.v1 import Summary

        self._add(
            step=step,
            summary=Summary(
                value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
            ),
        )

    def _add(self, **what: Any) -> None:
        from tensorflow.compat.v1 import Event

        self._file.write(Event(wall_time=time.time(), **what).SerializeToString())

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Recorder(keras.callbacks.Callback):
    """One row a batch, with its learning rate, and one an epoch, with the validation.

    The column `step` counts batches. Where gradients are accumulated, `update` among `more` counts
    the updates that are made behind each.

    Args:
        folder: The run's folder.
        metric: What is watched beside the loss.
        step: Batches of the whole run that are done.
        more: Columns beside the usual ones.
    """

    def __init__(
        self, folder: pathlib.Path, metric: Metric, step: int = 0, more: Sequence[str] = ()
    ):
        super().__init__()
        self.step = step
        self._path = folder / "metrics.csv"
        self._file: Any = None
        self._metric = metric
        self._columns = [*COLUMNS, metric.name, "val_loss", metric.val, "images_per_second", *more]
        if not self._path.exists() or not self._path.stat().st_size:
            self._path.write_text(",".join(self._columns) + "\r\n")
        self.rewind()
        self._board = Board(folder / "tensorboard")
        self._epoch = 0

    def rewind(self) -> None:
        """Drops what was written of steps that will be run again."""
        if self._file is not None:
            self._file.close()
        _cut(self._path, self.step, self._columns)
        self._file = open(self._path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self._writer = csv.DictWriter(self._file, self._columns)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        shown = ("learning_rate", "loss", self._metric.name, "gradient_norm", "update")
        self._write({key: logs[key] for key in shown if key in logs}, "step")
        self.step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._write({key: logs[key] for key in self._columns[3:] if logs and key in logs}, "epoch")
        self._file.flush()
        self._board.flush()

    def _write(self, values: dict[str, float], kind: str) -> None:
        shown = {key: f"{value:.8g}" for key, value in values.items()}
        stage = cell(self.params["stage"])
        self._writer.writerow(
            {"stage": stage, "epoch": self._epoch + 1, "step": self.step, **shown}
        )
        self._board.write({f"{kind}/{key}": value for key, value in values.items()}, self.step)

    def flush(self) -> None:
        """Makes sure that all rows are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Writes what is left and closes the files."""
        self._file.close()
        self._board.close()


def _cut(path: pathlib.Path, step: int, columns: list[str]) -> None:
    """Drops the rows of steps that will be run again."""
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]  # of a killed process, the last row may lack its end
    rows = list(csv.DictReader(io.StringIO(whole)))
    kept = [
        row
        for row in rows
        if int(row["step"]) < step or (int(row["step"]) == step and row["val_loss"])
    ]
    partial = path.with_suffix(".partial")
    with open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    os.replace(partial, path)
