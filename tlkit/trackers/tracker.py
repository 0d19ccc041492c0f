"""The events of a run that are reported to a tracker."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Place:
    """The point in a run at which something was measured.

    Attributes:
        stage: Name of the stage.
        epoch: Epoch of the stage, starting at 1.
        step: Batches of the whole run completed before; at the end of an epoch, including all of
            its batches.
    """

    stage: str
    epoch: int
    step: int


class Tracker:
    """Receives the events of a run; each method may be overridden, and does nothing by default.

    A resumed run has a new tracker: `began` is called with the same folder, then `trains` with the
    step to continue from. Records of that step and later ones will be reported again.
    """

    def began(self, recipe: Mapping[str, Any], folder: pathlib.Path) -> None:
        """Called when a process starts or resumes a run; an error here ends it before training.

        Args:
            recipe: Recipe, including all defaults.
            folder: Run folder.
        """

    def trains(self, columns: Sequence[str], step: int) -> None:
        """Called when training starts, is resumed, or was rolled back.

        Args:
            columns: Names of all values that will be measured.
            step: Next step; earlier ones are not reported again.
        """

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        """Called after training on a batch.

        Args:
            place: Position of the batch.
            values: Values such as `loss`, `accuracy`, `learning_rate`.
        """

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        """Called after an epoch was validated.

        Args:
            place: Position after its last batch.
            values: Values such as `val_loss`, `val_accuracy`.
        """

    def flush(self) -> None:
        """Called before a checkpoint is saved: everything reported so far must be written."""

    def ended(self, result: Mapping[str, Any]) -> None:
        """Called when the process has finished with the run.

        Args:
            result: Content of result.json; `status` is done, below requirement, interrupted or
                failed.
        """
