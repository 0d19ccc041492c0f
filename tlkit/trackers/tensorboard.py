"""Files for TensorBoard in the run folder."""

from __future__ import annotations

import os
import pathlib
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tlkit.registry import register
from tlkit.trackers.tracker import Place, Tracker


@register("tensorboard")
class TensorBoard(Tracker):
    """Writes scalars `step/loss`, `epoch/val_loss` ... for `tensorboard --logdir RUN/tensorboard`.

    `tf.summary.scalar` runs an operation for each number, which takes almost as long as a training
    step of a head on features. The file is therefore written directly: it consists of TFRecords
    with one `Event` each, here with all numbers of a step.
    """

    def __init__(self) -> None:
        self._file: Any = None

    def began(self, recipe: Mapping[str, Any], folder: pathlib.Path) -> None:
        self._folder = folder / "tensorboard"

    def trains(self, columns: Sequence[str], step: int) -> None:
        from tensorflow.compat.v1 import SessionLog

        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # files are read in the order of their names
            name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}.v2"
            self._file = tf.io.TFRecordWriter(str(self._folder / name))
            self._add(file_version="brain.Event:2")
        # TensorBoard drops what it has of this step and later ones
        self._add(step=step, session_log=SessionLog(status=SessionLog.START))

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        self._write("step", place.step, values)

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        # at its last batch, which is not run again when a run is resumed behind it
        self._write("epoch", max(0, place.step - 1), values)
        self._file.flush()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def ended(self, result: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        from tensorflow.compat.v1 import Summary

        scalars = [
            Summary.Value(tag=f"{kind}/{key}", simple_value=value) for key, value in values.items()
        ]
        self._add(step=step, summary=Summary(value=scalars))

    def _add(self, **what: Any) -> None:
        from tensorflow.compat.v1 import Event

        self._file.write(Event(wall_time=time.time(), **what).SerializeToString())
