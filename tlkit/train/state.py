"""The state of a run that is needed to resume it, in one file."""

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
from tlkit.train.result import StageResult

# errors that a damaged file may cause; an OSError with an errno is the disk's fault
DAMAGED = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class EpochTotals:
    """Sums over the images of the current epoch.

    Attributes:
        loss: Sum of the losses.
        score: Sum of the metric.
        images: Number of images.
    """

    loss: float = 0.0
    score: float = 0.0
    images: int = 0

    def plus(self, loss: float, score: float, images: int) -> EpochTotals:
        """The totals with one more batch.

        Args:
            loss: Mean loss of the batch.
            score: Sum of the metric over its images.
            images: Number of its images.
        """
        return EpochTotals(self.loss + loss * images, self.score + score, self.images + images)


@dataclasses.dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a stage so far.

    Attributes:
        epoch: Index from 0; -1 for the state before the first epoch.
        metrics: Loss and metric of the epoch.
        waited: Epochs since then.
    """

    epoch: int
    metrics: dict[str, float]
    waited: int = 0


@dataclasses.dataclass
class TrainState:
    """The training state of a run.

    Attributes:
        stage: Index of the stage.
        epoch: Epoch of the stage, from 0.
        batch: Number of batches done in that epoch.
        epochs_before: Epochs that earlier stages ran, so that each epoch of a
            run has an order of its own.
        totals: Totals of the epoch so far.
        best: Best epoch of the stage; None before the first validation.
        results: Results of the finished stages.
        history: Logs of every finished epoch.
        callbacks: Plain attribute values of each callback, by class name.
        guard: Checksums of the variables at the start of the stage, by path.
        reached: Whether any gradient of the stage was nonzero.
        rollbacks: When the stage's loss was not finite, and in which images.
        micro_batch: Images at once in this stage, if memory was too small for a batch.
        ratios: `update_ratio` by block in this epoch, once measured.
        found_rate: Learning rate that a sweep suggested for the stage.
        seconds: Seconds that the run has taken.
        out_of_time: Whether the time budget is used up.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    epochs_before: int = 0
    totals: EpochTotals = EpochTotals()
    best: BestEpoch | None = None
    results: list[StageResult] = dataclasses.field(default_factory=list)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    callbacks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    guard: dict[str, int] = dataclasses.field(default_factory=dict)
    reached: bool = False
    rollbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    micro_batch: int | None = None
    ratios: dict[str, float] = dataclasses.field(default_factory=dict)
    found_rate: float | None = None
    seconds: float = 0.0
    out_of_time: bool = False


Arrays = dict[str, list[np.ndarray]]


def save_state(path: pathlib.Path, state: TrainState, arrays: Arrays) -> None:
    """Writes state and arrays to one file, atomically; the previous one is kept as well.

    Raises:
        RunFailed: if the disk is full; the existing checkpoints are unchanged.
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
        # hard-link the old file, so that a complete one exists at every moment
        before.unlink(missing_ok=True)
        os.link(path, before)
    os.replace(partial, path)


def earlier(path: pathlib.Path) -> pathlib.Path:
    """Path of the previous checkpoint."""
    return path.with_name(f"{path.stem}-before{path.suffix}")


def load_state(path: pathlib.Path, say: Callable[[str], None]) -> tuple[TrainState, Arrays]:
    """Reads what `save_state` wrote; falls back to the previous checkpoint if it is damaged.

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
        # falling back would lose progress, and this file may be intact
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
    """The latest checkpoint whose values are all finite.

    Raises:
        RunFailed: if neither of the two checkpoints is.
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
        told = json.loads(file["state"].tobytes().decode())
        if set(told) != {field.name for field in dataclasses.fields(TrainState)}:
            raise ValueError("it was saved by another version of tlkit")
        told["results"] = [
            StageResult(**{**row, "rollbacks": tuple(row["rollbacks"])}) for row in told["results"]
        ]
        told["totals"] = EpochTotals(**told["totals"])
        told["best"] = BestEpoch(**told["best"]) if told["best"] else None
        state = TrainState(**told)
        arrays: Arrays = {}
        for key in sorted(name for name in file.files if name != "state"):
            arrays.setdefault(key.split("/")[0], []).append(file[key])
    return state, arrays


def callback_numbers(callback: Any) -> dict[str, Any]:
    """The plain values among a callback's attributes, which are its state."""
    return {
        key: value
        for key, value in vars(callback).items()
        if isinstance(value, bool | int | float | str) and not key.startswith("__")
    }
