"""The metrics of an evaluation as typed objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Metrics of one class; None where the denominator is zero.

    Attributes:
        name: Name of the class.
        images: Number of images of the class.
        precision: Fraction of the images predicted as the class that belong to it.
        recall: Fraction of the images of the class that are predicted as it.
        f1: Harmonic mean of precision and recall.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Metrics of a model on labelled images; None if no image has a known label.

    Attributes:
        split: `test` or `val` of the run, or `data` if other images were evaluated.
        images: Number of images.
        accuracy: Fraction of correct answers.
        loss: Mean cross-entropy in nats.
        balanced_accuracy: Mean recall over the classes.
        macro_f1: Mean F1 over the classes.
        top_5_accuracy: Fraction of images whose class is among the five most probable; only with
            six or more classes.
        accuracy_interval: 95 % confidence interval of the accuracy.
        per_class: Metrics of each class.
        figures: All metrics, as in result.json.
    """

    split: str
    images: int
    accuracy: float | None
    loss: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    top_5_accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    per_class: tuple[ClassFigures, ...] = dataclasses.field(repr=False)
    figures: Mapping[str, Any] = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, split: str, figures: Mapping[str, Any]) -> Metrics:
        """Builds the metrics of an evaluation.

        Args:
            split: Split of the run, or `data`.
            figures: Result of `tlkit.tasks.classification.metrics.evaluate`.
        """
        names = ("accuracy", "loss", "balanced_accuracy", "macro_f1", "top_5_accuracy")
        bounds = figures.get("intervals", {}).get("accuracy")
        rows = [
            ClassFigures(row["class"], *(row[k] for k in ("images", "precision", "recall", "f1")))
            for row in figures.get("per_class", ())
        ]
        return cls(
            split,
            figures["images"],
            **{name: figures.get(name) for name in names},
            accuracy_interval=None if bounds is None else (bounds[0], bounds[1]),
            per_class=tuple(rows),
            figures=figures,
        )

    def __str__(self) -> str:
        if self.accuracy is None:
            return f"{self.images} images with known labels"
        text = f"{self.split} accuracy {self.accuracy:.4f} on {self.images} images"
        if self.accuracy_interval is None:
            return text
        low, high = self.accuracy_interval
        return f"{text} (95 %: {low:.3f} to {high:.3f})"
