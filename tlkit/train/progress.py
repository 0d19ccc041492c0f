"""What the user sees while a stage trains."""

from __future__ import annotations

import time
from typing import Any

import keras

from tlkit.tasks.base import Metric

QUIET = 30.0  # minimum seconds between two lines within an epoch


class Progress(keras.callbacks.Callback):
    """A progress bar on a terminal, and one line per epoch everywhere.

    Args:
        console: Rich console; if it is not a terminal, occasional lines replace the bar.
        metric: Metric to show besides the loss.
    """

    def __init__(self, console: Any, metric: Metric):
        super().__init__()
        self.console, self.metric = console, metric
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        short = self.metric.short
        self.console.print(
            f"{'epoch':>9} {'train_loss':>10} {'val_loss':>9} {'train_' + short:>9} {'val_' + short:>8} "
            f"{'lr':>9} {'img/s':>7} {'time':>7}",
            style="dim",
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_began = self._said = time.perf_counter()
        self._sums = [0.0, 0.0, 0.0]
        self._name = f"{epoch + 1}/{self.params['epochs']}"
        if not self.console.is_terminal:
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=self.params["steps"], epoch=self._name, text="")
        self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None:
            return
        count = logs["images"]
        self._sums = [
            self._sums[0] + logs["loss"] * count,
            self._sums[1] + logs[self.metric.name] * count,
            self._sums[2] + count,
        ]
        loss, score, images = self._sums
        now = time.perf_counter()
        speed = images / (now - self._epoch_began)
        text = (
            f"loss {loss / images:.4f}  {self.metric.short} {score / images:.3f}  "
            f"lr {logs['learning_rate']:.2e}  {speed:.0f} img/s"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=batch + 1, text=text)
        elif now - self._said >= max(QUIET, (self._said - self._epoch_began) / 3):
            self._said = now
            step = f"step {batch + 1} of {self.params['steps']}"
            self.console.print(f"{self._name:>9} {step}  {text}", highlight=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.close()
        logs = logs or {}
        seconds = time.perf_counter() - self._epoch_began
        name = f"{epoch + 1}/{self.params['epochs']}"
        self.console.print(
            f"{name:>9} {logs['loss']:10.4f} {logs['val_loss']:9.4f} {logs[self.metric.name]:9.4f} "
            f"{logs[self.metric.val]:8.4f} {logs.get('learning_rate', 0):9.2e} "
            f"{logs['images_per_second']:7.0f} {seconds:6.1f}s",
            highlight=False,
        )

    def close(self) -> None:
        """Removes the bar from the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
