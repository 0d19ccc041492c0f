"""A network compiled for inference by a backend."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.tensors import Tensor


@dataclasses.dataclass(frozen=True)
class CompiledModel:
    """A network compiled for inference: uint8 images to a list of float32 arrays.

    Attributes:
        run: Maps images `(batch, height, width, channels)` to the outputs.
        precision: Precision of the computation.
        save: Writes it to a folder and returns the names of its outputs; None if it cannot be
            saved. The `loader` that the engine was registered with reads it again.
    """

    run: Callable[[Any], list[np.ndarray]]
    precision: str = "float32"
    save: Callable[[pathlib.Path], list[str]] | None = None

    def __call__(self, images: Tensor) -> list[np.ndarray]:
        return self.run(images)
