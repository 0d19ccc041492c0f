"""Stopping a run from outside: Ctrl-C, or SIGTERM before a machine is taken away."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interrupted(Exception):  # noqa: N818 - not an error: the user pressed Ctrl-C
    """The run was stopped from outside and can be resumed.

    Args:
        folder: Run folder.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__(str(folder))
        self.folder = folder


class Stops:
    """Signals that stop a run, delayed during operations that must not be interrupted."""

    def __init__(self) -> None:
        self._holding = False
        self._pending = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, SIGINT and SIGTERM raise KeyboardInterrupt; in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        if before[signal.SIGINT] == signal.SIG_IGN:  # e.g. in the background of a shell
            del before[signal.SIGINT]
        for number in before:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: Any) -> None:
        if not self._holding:
            raise KeyboardInterrupt
        self._pending = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Runs the body without interruption; a signal meanwhile stops the run afterwards."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt
