"""The metrics of an evaluation as typed objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class LabelFigures:
    """Metrics of one label; None where the denominator is zero.

    Attributes:
        name: Name of the label.
        images: Number of images that have it.
        ap: Average precision.
        precision: Fraction of the images predicted to have the label that do have it.
        recall: Fraction of the images that have the label that are predicted to.
        f1: Harmonic mean of precision and recall.
        threshold: Smallest probability at which an image is given the label.
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
    """Metrics of a model on images with known labels; None if no image has any.

    Attributes:
        split: `test` or `val` of the run, or `data` if other images were evaluated.
        images: Number of images.
        map: Mean average precision over the labels.
        loss: Mean binary cross-entropy in nats.
        f1_micro: F1 over all labels together.
        f1_macro: Mean of the labels' F1.
        exact: Fraction of the images whose labels are all correct.
        map_interval: 95 % confidence interval of the mean average precision.
        per_class: Metrics of each label.
        figures: All metrics, as in result.json.
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
        """Builds the metrics of an evaluation.

        Args:
            split: Split of the run, or `data`.
            figures: Result of `tlkit.tasks.multi_label.metrics.evaluate`.
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
