"""The metrics of an evaluation as typed objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class OutputFigures:
    """Metrics of one output.

    Attributes:
        name: Name of the output.
        r2: Fraction of the variance that is explained; None if the variance is zero.
        mae: Mean absolute error, in the units of the label.
        rmse: Root mean squared error, in the units of the label.
    """

    name: str
    r2: float | None
    mae: float
    rmse: float


@dataclasses.dataclass(frozen=True)
class RegressionMetrics:
    """Metrics of a model on images with known numbers; None if no image has any.

    Attributes:
        split: `test` or `val` of the run, or `data` if other images were evaluated.
        images: Number of images.
        r2: Fraction of the variance that is explained, averaged over the outputs.
        loss: Mean squared error of standardised numbers.
        mae: Mean absolute error if there is one output.
        rmse: Root mean squared error if there is one output.
        r2_interval: 95 % confidence interval of R2.
        per_output: Metrics of each output.
        figures: All metrics, as in result.json.
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
        """Builds the metrics of an evaluation.

        Args:
            split: Split of the run, or `data`.
            figures: Result of `tlkit.tasks.regression.metrics.evaluate`.
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
