"""What a tracker is told of a run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in a run something was measured.

    Attributes:
        stage: Its name.
        epoch: Of the stage, from 1.
        step: Batches of the whole run that were done before; behind an epoch, all of its batches.
    """

    stage: str
    epoch: int
    step: int


class Tracker:
    """Is told the course of a run; each method may be left as it is, and does nothing.

    A run that is resumed has a new tracker: `began` with the same folder, then `trains` with the
    step to go on from. What was written of that step and later ones will be told again.
    """

    def began(self, recipe: Mapping[str, Any], folder: pathlib.Path) -> None:
        """A process begins or resumes a run; an error here ends it, before anything was trained.

        Args:
            recipe: With all defaults.
            folder: Of the run.
        """

    def trains(self, columns: Sequence[str], step: int) -> None:
        """Training begins, is resumed, or was rolled back.

        Args:
            columns: Names of all that will be measured.
            step: The next one; those before it are not told again.
        """

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        """A batch was trained on.

        Args:
            place: Of the batch.
            values: As `loss`, `accuracy`, `learning_rate`.
        """

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        """An epoch was validated.

        Args:
            place: Behind its last batch.
            values: As `val_loss`, `val_accuracy`.
        """

    def flush(self) -> None:
        """The state of the run is about to be saved: what was told must be written down."""

    def ended(self, result: Mapping[str, Any]) -> None:
        """The process is done with the run.

        Args:
            result: What result.json says: `status` is done, below requirement, interrupted or failed.
        """
