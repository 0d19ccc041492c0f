"""The figures of an evaluation, with types."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class LabelFigures:
    """How well one label is found; None where there is nothing to divide by.

    Attributes:
        name: Of the label.
        images: That have it.
        ap: Average precision.
        precision: Share of the images that were given the label which have it.
        recall: Share of its images that were given it.
        f1: Harmonic mean of both.
        threshold: Probability from which on an image is given it.
    """

    name: str
    images: int
    ap: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    threshold: float


@dataclasses.dataclass(frozen=True)
class MultiLabelMetrics:
    """Figures of a model on images with known labels; None where no image has any.

    Attributes:
        split: `test` or `val` of the run, or `data` where other images were measured.
        images: How many.
        map: Mean of the labels' average precision.
        loss: Mean binary cross-entropy in nats.
        f1_micro: F1 of all labels together.
        f1_macro: Mean F1 of the labels.
        exact: Share of the images with all labels right and no other.
        map_interval: Bounds between which the mean average precision is with 95 %.
        per_class: The figures of each label.
        figures: All there are, as result.json has them.
    """

    split: str
    images: int
    map: float | None
    loss: float | None
    f1_micro: float | None
    f1_macro: float | None
    exact: float | None
    map_interval: tuple[float, float] | None
    per_class: tuple[LabelFigures, ...] = dataclasses.field(repr=False)
    figures: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, split: str, figures: Mapping[str, Any]) -> MultiLabelMetrics:
        """The figures of an evaluation.

        Args:
            split: Of the run, or `data`.
            figures: As `tlkit.tasks.multi_label.metrics.evaluate` gives them.
        """
        bounds = figures.get("intervals", {}).get("map")
        keys = ("class", "images", "ap", "precision", "recall", "f1", "threshold")
        return cls(
            split,
            figures["images"],
            **{
                name: figures.get(name) for name in ("map", "loss", "f1_micro", "f1_macro", "exact")
            },
            map_interval=None if bounds is None else (bounds[0], bounds[1]),
            per_class=tuple(
                LabelFigures(*(row[key] for key in keys)) for row in figures.get("per_class", ())
            ),
            figures=figures,
        )

    def __str__(self) -> str:
        if self.map is None:
            return f"{self.images} images with known labels"
        text = f"{self.split} mAP {self.map:.4f} on {self.images} images"
        if self.map_interval is None:
            return text
        low, high = self.map_interval
        return f"{text} (95 %: {low:.3f} to {high:.3f})"
