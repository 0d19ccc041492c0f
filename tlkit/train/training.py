"""What all stages of a run share."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.model import Network
from tlkit.recipe.schema import Cache, Checkpoint, Finetune, Named
from tlkit.train.interrupt import Stops
from tlkit.train.state import Arrays, TrainState


@dataclasses.dataclass
class Training:
    """What all stages of a run share.

    Attributes:
        network: What is trained.
        dataset: What it is trained on.
        config: The recipe's `finetune`.
        weights: In the loss, as `Task.weights` gives them.
        seed: Of the run.
        state: Where the run stands.
        state_file: Where that is saved.
        callbacks: Keras callbacks, called in every stage.
        own_callbacks: A person's own.
        progress: Makes a function `(done, total)` that shows how far a pass is.
        resumed: Arrays to continue from, until the stage has taken them.
        regularize: The recipe's regularizers.
        start: Pretrained values of the variables that were not new, by path.
        augment_on: `device` or `pipeline`.
        engine: What computes frozen parts.
        cache: Where what they give is kept.
        checkpoint: How often the state is saved within an epoch.
        stops: Holds signals back where something must be done whole.
        val_logits: Of the validation images at the end of the last stage, where they are known.
        say: Is told what a person may want to know.
        time_budget: As the recipe has it.
        seconds_allowed: That are in it.
        began: When this process began its run, by `time.perf_counter`.
        seconds_before: That the run took in processes before this one.
    """

    network: Network
    dataset: Dataset
    config: Finetune
    weights: np.ndarray
    seed: int
    state: TrainState
    state_file: pathlib.Path
    callbacks: list[Any]
    progress: Any = None
    resumed: Arrays | None = None
    regularize: list[Named] = dataclasses.field(default_factory=list)
    start: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    augment_on: str = "device"
    engine: str = "auto"
    cache: str | Cache = "auto"
    checkpoint: Checkpoint = dataclasses.field(default_factory=Checkpoint)
    stops: Stops = dataclasses.field(default_factory=Stops)
    say: Callable[[str], None] = lambda line: None
    val_logits: np.ndarray | None = None
    time_budget: str = ""
    seconds_allowed: float | None = None
    began: float = dataclasses.field(default_factory=time.perf_counter)
    seconds_before: float = 0.0
    own_callbacks: Sequence[Any] = ()

    @property
    def loss(self) -> Named:
        """What is minimised."""
        assert self.config.loss is not None  # the recipe is settled
        return self.config.loss

    def seconds_used(self) -> float:
        """Seconds that the run took until now, in all its processes."""
        return self.seconds_before + time.perf_counter() - self.began


def putting_back(variables: list[Any]) -> Callable[[], None]:
    """A function that gives variables their present values again."""
    values = [np.asarray(variable) for variable in variables]

    def restore() -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    return restore
