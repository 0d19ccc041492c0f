"""The figures of an evaluation, with types."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """How well one class is told apart; None where there is nothing to divide by.

    Attributes:
        name: Of the class.
        images: Of it.
        precision: Share of the images that were called so which are of it.
        recall: Share of its images that were called so.
        f1: Harmonic mean of both.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Figures of a model on labelled images; None where no image has a known label.

    Attributes:
        split: `test` or `val` of the run, or `data` where other images were measured.
        images: How many.
        accuracy: Share of right answers.
        loss: Mean cross-entropy in nats.
        balanced_accuracy: Mean recall of the classes.
        macro_f1: Mean F1 of the classes.
        top_5_accuracy: Share of images whose class is among the five most probable; of six classes on.
        accuracy_interval: Bounds between which the accuracy is with 95 %.
        per_class: The figures of each class.
        figures: All there are, as result.json has them.
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
        """The figures of an evaluation.

        Args:
            split: Of the run, or `data`.
            figures: As `tlkit.tasks.classification.metrics.evaluate` gives them.
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
