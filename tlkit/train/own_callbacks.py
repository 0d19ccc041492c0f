"""A person's own Keras callbacks in tlkit's loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from tlkit.errors import OF_A_CALLBACK, UserError

Logs = dict[str, Any] | None


def expect_callbacks(callbacks: Any) -> None:
    """Refuses what are no Keras callbacks, before anything else is done.

    Raises:
        UserError: naming the first that is none.
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
    """Calls a person's callbacks in one stage, as `model.fit` would.

    A stage may train a part of the network alone, on features. Theirs is the whole network all the
    same: it is what they save or look at. Its optimizer is the stage's, and where they set its
    `stop_training`, the stage ends.

    Args:
        callbacks: Theirs.
        whole: From images to probabilities.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], whole: keras.Model):
        super().__init__()
        self.callbacks = callbacks
        self.whole = whole
        self._under_way: list[keras.callbacks.Callback] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Once in a stage, though one that goes back to a saved state begins again."""
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
    """An exception from inside is a person's own, and is told as such."""
    try:
        yield
    except Exception as error:
        error.add_note(OF_A_CALLBACK)
        raise
