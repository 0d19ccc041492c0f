"""Counts batches and updates in one place; imports nothing heavy."""

from __future__ import annotations

import dataclasses
import math

from tlkit.tensors import KerasOptimizer

# rounding error, in steps, allowed in a product of epochs and steps
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class StepCount:
    """Numbers of batches and updates of a stage.

    With gradient accumulation, an update is made after every `accumulation` batches, across
    epoch boundaries: batches left over at the end of an epoch count for the next one, and those
    at the end of the last epoch are lost. Parts of a batch that are computed one after another
    to save memory do not count as batches.

    Args:
        images: Images per epoch, 1 or more.
        batch_size: Images per batch, 1 or more.
        epochs: Number of epochs, 0 or more.
        accumulation: Batches per update, 1 or more.

    Raises:
        ValueError: if one of them is smaller.
    """

    images: int
    batch_size: int
    epochs: int
    accumulation: int = 1

    def __post_init__(self) -> None:
        if min(self.images, self.batch_size, self.accumulation) < 1 or self.epochs < 0:
            raise ValueError(
                "images, batch_size and accumulation must be 1 or more, epochs 0 or more; got "
                f"{self}"
            )

    @property
    def batches_per_epoch(self) -> int:
        """Batches per epoch; the last one may be smaller."""
        return -(-self.images // self.batch_size)

    @property
    def batches(self) -> int:
        """Batches of all epochs."""
        return self.batches_per_epoch * self.epochs

    @property
    def updates(self) -> int:
        """Updates of all epochs: floor(batches / accumulation)."""
        return self.batches // self.accumulation

    @property
    def updates_per_epoch(self) -> float:
        """Mean updates per epoch; fractional if accumulation does not divide an epoch's batches."""
        return self.batches_per_epoch / self.accumulation

    def batches_before(self, epoch: int, batch: int = 0) -> int:
        """Batches done before `batch` of `epoch` begins, both counted from 0."""
        return epoch * self.batches_per_epoch + batch

    def updates_after(self, batches: int) -> int:
        """Updates made after this many batches."""
        return batches // self.accumulation

    def ends_update(self, batches: int) -> bool:
        """Whether an update is made after the last of this many batches."""
        return batches > 0 and batches % self.accumulation == 0

    def epoch_of(self, update: int) -> int:
        """The epoch of an update, both counted from 0."""
        return ((update + 1) * self.accumulation - 1) // self.batches_per_epoch

    def is_near_end(self, batch: int) -> bool:
        """Whether a batch is among an epoch's last `accumulation`, with one update at most."""
        return batch >= self.batches_per_epoch - self.accumulation


def whole_steps(epochs: float, steps_per_epoch: float) -> int:
    """Whole steps in a number of epochs."""
    return math.floor(epochs * steps_per_epoch + ROUNDING)


def accumulation_of(optimizer: KerasOptimizer) -> int:
    """Batches per update of a Keras optimizer, including one wrapped for loss scaling."""
    found = 1
    while optimizer is not None:
        found = max(found, getattr(optimizer, "gradient_accumulation_steps", None) or 1)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return found
