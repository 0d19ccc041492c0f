"""Where the steps of a stage run: on one device, or on several."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from tlkit.tensors import Tensor

if TYPE_CHECKING:
    from tlkit.train.step import Step


class Strategy(Protocol):
    """Where variables are placed, and how a step is run."""

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Context in which variables are created where the steps run: network and optimizer."""

    def run(self, step: Step, images: Tensor, labels: Tensor) -> Tensor:
        """Runs a step; its output may still be being computed."""


class SingleDevice:
    """TensorFlow's default device: the first GPU, or else the CPU."""

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Context that leaves variables on the default device."""
        return contextlib.nullcontext()

    def run(self, step: Step, images: Tensor, labels: Tensor) -> Tensor:
        """Runs a step on the whole batch."""
        return step(images, labels)
