"""The context that all stages of a run share."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import keras
import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.model import Network
from tlkit.recipe.schema import Component, Finetune, Recipe, seconds
from tlkit.reporter import SILENT, Reporter
from tlkit.tasks.fit import settled
from tlkit.train.interrupt import Stops
from tlkit.train.regularize import needs_start
from tlkit.train.strategy import SingleDevice, Strategy


@dataclasses.dataclass(frozen=True)
class TimeBudget:
    """The time that a run may take.

    Attributes:
        wanted: Budget as written in the recipe; empty for no limit.
        began: Start time of the run in this process, by `time.perf_counter`.
        before: Seconds that the run took in earlier processes.
    """

    wanted: str = ""
    began: float = dataclasses.field(default_factory=time.perf_counter)
    before: float = 0.0

    def used(self) -> float:
        """Seconds that the run has taken so far, in all its processes."""
        return self.before + time.perf_counter() - self.began

    def is_over(self, ahead: float) -> bool:
        """Whether `ahead` more seconds would exceed the budget."""
        allowed = seconds(self.wanted) if self.wanted else None
        return allowed is not None and self.used() + ahead > allowed


@dataclasses.dataclass(frozen=True)
class RunContext:
    """What all stages of a run share; only the network's weights change while they run.

    Attributes:
        recipe: Recipe with its defaults, its task and that task's loss.
        dataset: Dataset to learn from.
        network: Network to train.
        weights: Weights in the loss, from `Task.weights`.
        start: Pretrained values of the variables that are not new, by path, for regularizers.
        reporter: Reports to the user.
        kept_in: Run folder; None if nothing is saved, as for a plan.
        stops: Delays signals during operations that must not be interrupted.
        budget: Time budget.
        callbacks: The user's Keras callbacks.
        strategy: Where the steps run.
    """

    recipe: Recipe
    dataset: Dataset
    network: Network
    weights: np.ndarray
    start: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    reporter: Reporter = SILENT
    kept_in: pathlib.Path | None = None
    stops: Stops = dataclasses.field(default_factory=Stops)
    budget: TimeBudget = dataclasses.field(default_factory=TimeBudget)
    callbacks: Sequence[keras.callbacks.Callback] = ()
    strategy: Strategy = dataclasses.field(default_factory=SingleDevice)

    @property
    def config(self) -> Finetune:
        """The recipe's `finetune`."""
        return self.recipe.finetune

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def loss(self) -> Component:
        """The loss to minimise."""
        found: Component | None = self.config.loss
        assert found is not None  # the recipe has its defaults
        return found

    @property
    def folder(self) -> pathlib.Path:
        """Run folder."""
        assert self.kept_in is not None
        return self.kept_in

    @property
    def state_file(self) -> pathlib.Path:
        """Path of the checkpoint."""
        return self.folder / "checkpoints" / "state.npz"


def make_context(
    recipe: Recipe, dataset: Dataset, network: Network, reporter: Reporter = SILENT
) -> RunContext:
    """The context for the stages of a recipe, without a folder or a time limit.

    Args:
        recipe: Recipe with its defaults.
        dataset: Dataset.
        network: Network, as loaded.
        reporter: Reports to the user.
    """
    start = {}
    if recipe.model.weights != "none" and needs_start(recipe.regularize):
        start = {v.path: np.asarray(v) for block in network.blocks for v in block.variables()}
    return RunContext(
        recipe=settled(recipe, dataset.task),
        dataset=dataset,
        network=network,
        weights=dataset.task.weights(recipe.finetune.class_weight, dataset.train.labels),
        start=start,
        reporter=reporter,
    )
