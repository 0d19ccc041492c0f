"""The exported model and the answers that it must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.recipe.schema import Component
from tlkit.tasks.base import Task


def precision_of(item: Component) -> str:
    """Returns the precision from a format's arguments; float32 if there is none."""
    return str(item.arguments.get("precision", "float32"))


@dataclasses.dataclass(frozen=True)
class Proof:
    """Images that were evaluated, and the answers for them.

    Attributes:
        task: Task that the model answers.
        split: Evaluated images.
        prepare: Decoder.
        answers: Answers, `(images, outputs)`.
    """

    task: Task
    split: Split
    prepare: Any
    answers: np.ndarray


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """The exported model and the answers that it must give.

    Attributes:
        model: Model from RGB in [0, 255] to the task's answers.
        proof: Answers that it must give.
        size: Height and width in pixels.
        how: Method by which images are resized to that size.
        antialias: Whether images are low-pass filtered before shrinking.
        images: Function that returns the training images (uint8) that set the ranges of int8.
        card: Values for the model card: `name`, `backbone`, `licence`, `evaluated` in words,
            `counts` of training images.
    """

    model: Any
    proof: Proof
    size: tuple[int, int]
    how: str
    antialias: bool
    images: Callable[[], np.ndarray]
    card: dict[str, Any]

    @property
    def task(self) -> Task:
        """Task that the model answers."""
        return self.proof.task
