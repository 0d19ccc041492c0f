"""Batches and updates, counted in one place; imports nothing heavy."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

# of a step: what a product of epochs and steps may be off by
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class StepCount:
    """How many batches a stage has, and how many updates they make.

    With gradient accumulation an update is made behind every `accumulation` batches, across the
    ends of epochs: what is left at the end of one counts for the next, and what is left at the
    end of the last is lost. Parts of a batch that are computed one after another, as memory is
    small, are no batches of their own.

    Args:
        images: That an epoch has, 1 or more.
        batch_size: Images of a batch, 1 or more.
        epochs: Passes over the images, 0 or more.
        accumulation: Batches that make an update, 1 or more.

    Raises:
        ValueError: if one of them is less.
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
        """The last one of an epoch may be smaller."""
        return -(-self.images // self.batch_size)

    @property
    def batches(self) -> int:
        """Of all epochs."""
        return self.batches_per_epoch * self.epochs

    @property
    def updates(self) -> int:
        """Of all epochs: floor(batches / accumulation)."""
        return self.batches // self.accumulation

    @property
    def updates_per_epoch(self) -> float:
        """On average; no whole number where accumulation does not divide an epoch's batches."""
        return self.batches_per_epoch / self.accumulation

    def batches_before(self, epoch: int, batch: int = 0) -> int:
        """Batches that are done when `batch` of `epoch` begins, both counted from 0."""
        return epoch * self.batches_per_epoch + batch

    def updates_after(self, batches: int) -> int:
        """Updates that this many batches make."""
        return batches // self.accumulation

    def ends_update(self, batches: int) -> bool:
        """Whether the last of this many batches ends in an update."""
        return batches > 0 and batches % self.accumulation == 0

    def epoch_of(self, update: int) -> int:
        """The epoch in which an update is made, both counted from 0."""
        return ((update + 1) * self.accumulation - 1) // self.batches_per_epoch

    def is_near_end(self, batch: int) -> bool:
        """Whether a batch is among an epoch's last ones, of which one at most ends in an update."""
        return batch >= self.batches_per_epoch - self.accumulation


def whole_steps(epochs: float, steps_per_epoch: float) -> int:
    """Steps that are done whole in some epochs."""
    return math.floor(epochs * steps_per_epoch + ROUNDING)


def accumulation_of(optimizer: Any) -> int:
    """Batches that make an update of a Keras optimizer, one wrapped for loss scaling included."""
    found = 1
    while optimizer is not None:
        found = max(found, getattr(optimizer, "gradient_accumulation_steps", None) or 1)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return found
