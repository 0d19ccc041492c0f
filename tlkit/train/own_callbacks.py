"""User-defined Keras callbacks in tlkit's training loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from tlkit.errors import OF_A_CALLBACK, UserError

Logs = dict[str, Any] | None


def expect_callbacks(callbacks: Any) -> None:
    """Refuses anything that is not a Keras callback, before anything else is done.

    Raises:
        UserError: naming the first that is not a callback.
    """
    if not isinstance(callbacks, list | tuple):
        raise UserError(
            f"expected a list of Keras callbacks, found {type(callbacks).__name__}",
            where="callbacks",
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            name = getattr(callback, "__name__", type(callback).__name__)
            raise UserError(
                f"expected Keras callbacks, found {name}",
                where="callbacks",
                hint="Put its parentheses." if isinstance(callback, type) else None,
            )


class OwnCallbacks(keras.callbacks.Callback):
    """Calls the user's callbacks in one stage, as `model.fit` would.

    A stage may train only a part of the network, on features. The callbacks' model is still the
    whole network, which they can save or inspect. Its optimizer is the stage's, and setting its
    `stop_training` ends the stage.

    Args:
        callbacks: The user's callbacks.
        whole: Model from images to probabilities.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], whole: keras.Model):
        super().__init__()
        self.callbacks = callbacks
        self.whole = whole
        self._under_way: list[keras.callbacks.Callback] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Runs once per stage; a stage that is rolled back begins training more than once."""
        if self._under_way:
            return
        self._under_way = list(self.callbacks)
        self.whole.optimizer, self.whole.stop_training = self.model.optimizer, False
        with _marked():
            for callback in self._under_way:
                callback.set_params({"verbose": 0, **self.params})
                callback.set_model(self.whole)
        self._call("on_train_begin", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._call("on_train_batch_end", batch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._call("on_epoch_end", epoch, logs=logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._call("on_train_end", logs=logs)
        self.whole.optimizer = None

    def _call(self, hook: str, *place: int, logs: Logs) -> None:
        with _marked():
            for callback in self._under_way:
                getattr(callback, hook)(*place, dict(logs or {}))
        if self.whole.stop_training:
            self.model.stop_training = True


@contextmanager
def _marked() -> Iterator[None]:
    """Marks exceptions from inside as the user's, so that they are reported as such."""
    try:
        yield
    except Exception as error:
        error.add_note(OF_A_CALLBACK)
        raise
