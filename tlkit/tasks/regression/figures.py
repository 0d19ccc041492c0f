"""The figures of an evaluation, with types."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class OutputFigures:
    """How well one number is predicted.

    Attributes:
        name: Of the number.
        r2: Share of its variance that is explained; None where it has none.
        mae: Mean absolute error, in its own units.
        rmse: Root of the mean squared error, in its own units.
    """

    name: str
    r2: float | None
    mae: float
    rmse: float


@dataclasses.dataclass(frozen=True)
class RegressionMetrics:
    """Figures of a model on images with known numbers; None where no image has any.

    Attributes:
        split: `test` or `val` of the run, or `data` where other images were measured.
        images: How many.
        r2: Share of the variance that is explained, the mean of the outputs.
        loss: Mean squared error of standardised numbers.
        mae: Mean absolute error where there is one output.
        rmse: Root of the mean squared error where there is one output.
        r2_interval: Bounds between which R2 is with 95 %.
        per_output: The figures of each number.
        figures: All there are, as result.json has them.
    """

    split: str
    images: int
    r2: float | None
    loss: float | None
    mae: float | None
    rmse: float | None
    r2_interval: tuple[float, float] | None
    per_output: tuple[OutputFigures, ...] = dataclasses.field(repr=False)
    figures: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, split: str, figures: Mapping[str, Any]) -> RegressionMetrics:
        """The figures of an evaluation.

        Args:
            split: Of the run, or `data`.
            figures: As `tlkit.tasks.regression.metrics.evaluate` gives them.
        """
        bounds = figures.get("intervals", {}).get("r2")
        return cls(
            split,
            figures["images"],
            **{name: figures.get(name) for name in ("r2", "loss", "mae", "rmse")},
            r2_interval=None if bounds is None else (bounds[0], bounds[1]),
            per_output=tuple(
                OutputFigures(row["output"], row["r2"], row["mae"], row["rmse"])
                for row in figures.get("per_output", ())
            ),
            figures=figures,
        )

    def __str__(self) -> str:
        if self.r2 is None:
            return f"{self.images} images with known numbers"
        error = "" if self.mae is None else f", mean absolute error {self.mae:.4g}"
        return f"{self.split} R2 {self.r2:.4f}{error} on {self.images} images"
