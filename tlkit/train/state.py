"""Everything a run needs to go on, in one place and one file."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.errors import RunError, RunFailed, first_line

# what reading a damaged file may raise; an OSError with a number is the disk's, not the file's
DAMAGED = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass
class TrainState:
    """Where a run stands.

    Attributes:
        stage: Index of the stage.
        epoch: Epoch of the stage, from 0.
        batch: Batches of that epoch that are done.
        epochs_before: Epochs that earlier stages ran, so that each epoch of a
            run has an order of its own.
        sums: Of the epoch so far: loss, right answers, images.
        best: Of the stage: epoch (-1 is the state it began with) and logs.
        results: What finished stages report.
        history: Logs of every finished epoch.
        callbacks: By class name, the numbers that each callback keeps.
        guard: Of the stage: checksums of the variables at its beginning, by path.
        reached: Of the stage: whether any gradient was not zero.
        rollbacks: Of the stage: when its loss was no number, and in which images.
        micro_batch: Of the stage: images at once, where memory was too small for a batch.
        found_rate: Of the stage: the learning rate that a sweep suggested.
        seconds: That the run has taken.
        out_of_time: Whether its time budget is used up.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    epochs_before: int = 0
    sums: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0.0, 0.0])
    best: dict[str, Any] = dataclasses.field(default_factory=dict)
    results: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    callbacks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    guard: dict[str, int] = dataclasses.field(default_factory=dict)
    reached: bool = False
    rollbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    micro_batch: int | None = None
    found_rate: float | None = None
    seconds: float = 0.0
    out_of_time: bool = False


Arrays = dict[str, list[np.ndarray]]


def save_state(path: pathlib.Path, state: TrainState, arrays: Arrays) -> None:
    """Writes state and arrays to one file, whole or not at all; the one before is kept too.

    Raises:
        RunFailed: if the disk is full; the states that were there are as they were.
    """
    flat: dict[str, Any] = {
        f"{group}/{index:05d}": value
        for group, values in arrays.items()
        for index, value in enumerate(values)
    }
    text = json.dumps(dataclasses.asdict(state))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, before = path.with_suffix(".partial"), earlier(path)
    try:
        with open(partial, "wb") as file:
            np.savez(file, state=np.frombuffer(text.encode(), np.uint8), **flat)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunFailed(
            "the disk is full: the state could not be saved; the one before is whole.",
            where=str(path),
            hint=f"Make room, then: tlkit finetune --resume {path.parent.parent}",
        ) from None
    if path.exists():
        # a second name for the old file, so that there is a whole one at every moment
        before.unlink(missing_ok=True)
        os.link(path, before)
    os.replace(partial, path)


def earlier(path: pathlib.Path) -> pathlib.Path:
    """Where the state before the last one is."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def load_state(path: pathlib.Path, say: Callable[[str], None]) -> tuple[TrainState, Arrays]:
    """Reads what `save_state` wrote; the state before the last where the last is damaged.

    Raises:
        RunError: if there is no such file, it cannot be read, or both are damaged.
    """
    if not path.is_file():
        raise RunError("has no saved state to resume from", where=str(path.parent.parent))
    try:
        return _read(path)
    except DAMAGED as error:
        reason = first_line(error)
    except OSError as error:
        # the state before it would lose what was trained since, and this one may be whole
        raise RunError(
            f"its saved state cannot be read: {error.strerror}", where=str(path)
        ) from None
    try:
        found = _read(earlier(path))
    except (*DAMAGED, OSError):
        raise RunError(f"its saved state is damaged: {reason}", where=str(path)) from None
    say(f"{path} is damaged ({reason}); going on from the state before it")
    return found


def good_state(path: pathlib.Path) -> tuple[TrainState, Arrays]:
    """The last saved state whose numbers are all finite.

    Raises:
        RunFailed: if neither of the two that are kept is.
    """
    for place in (path, earlier(path)):
        if place.is_file():
            try:
                state, arrays = _read(place)
            except DAMAGED:
                continue
            weights = [a for group in ("model", "optimizer") for a in arrays.get(group, [])]
            if all(np.isfinite(a).all() for a in weights):
                return state, arrays
    raise RunFailed("there is no whole state with finite numbers to go back to", where=str(path))


def _read(path: pathlib.Path) -> tuple[TrainState, Arrays]:
    with np.load(path) as file:
        state = TrainState(**json.loads(file["state"].tobytes().decode()))
        arrays: Arrays = {}
        for key in sorted(name for name in file.files if name != "state"):
            arrays.setdefault(key.split("/")[0], []).append(file[key])
    return state, arrays


def callback_numbers(callback: Any) -> dict[str, Any]:
    """The plain values among a callback's attributes, which are its memory."""
    return {
        key: value
        for key, value in vars(callback).items()
        if isinstance(value, bool | int | float | str) and not key.startswith("__")
    }
