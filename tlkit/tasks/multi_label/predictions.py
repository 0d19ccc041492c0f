"""predictions.csv: the model's answers for each image."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tlkit.text import cell

MOST_COLUMNS = 200  # up to this many classes, each has its own column
BETWEEN = "|"  # separates the labels of one image


def chosen_text(names: Sequence[str]) -> str:
    """The labels of an image as one text."""
    return BETWEEN.join(names)


def parsed_text(text: str) -> set[str]:
    """The labels in a text of `chosen_text`."""
    return set(text.split(BETWEEN)) if text else set()


def write_predictions(
    path: pathlib.Path,
    names: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray,
    thresholds: Mapping[str, float],
) -> None:
    """Writes one row per image: name, true labels, predicted labels, probability of each label.

    With many classes, only the ten most probable are written. Names are `tlkit.text.cell`s.

    Args:
        path: File to write.
        names: Names of the images.
        labels: Known labels, `(images,)`.
        probabilities: Probabilities, `(images, classes)`.
        thresholds: Threshold of each class, by name and in class order.
    """
    classes = list(thresholds)
    wide = len(classes) <= MOST_COLUMNS
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    more = [f"p:{name}" for name in classes] if wide else [f"top_{k}" for k in range(1, 11)]
    writer.writerow(["image", "label", "predicted", *more])
    for name, label, row in zip(names, labels, probabilities, strict=True):
        chosen = [
            label
            for (label, least), p in zip(thresholds.items(), row, strict=True)
            if p >= np.float32(least)
        ]
        best = np.argsort(-row, kind="stable")[:10]
        rest = (
            [f"{value:.9g}" for value in row]
            if wide
            else [cell(f"{classes[k]}={row[k]:.9g}") for k in best]
        )
        writer.writerow([cell(name), cell(label), cell(chosen_text(chosen)), *rest])
    path.write_text(buffer.getvalue(), "utf-8")
