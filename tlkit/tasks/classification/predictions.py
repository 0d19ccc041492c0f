"""predictions.csv: the model's answers for each image."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tlkit.tasks.classification.metrics import most_probable
from tlkit.text import cell

MOST_COLUMNS = 200  # up to this many classes, each has its own column


def write_predictions(
    path: pathlib.Path,
    names: Sequence[str],
    labels: Sequence[str],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Writes one row per image: name, true label, predicted label, its probability, all others.

    With many classes, only the five most probable are written. Names are `tlkit.text.cell`s.
    """
    wide = len(classes) <= MOST_COLUMNS
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    head = ["image", "label", "predicted", "probability"]
    more = [f"p:{name}" for name in classes] if wide else [f"top_{k}" for k in range(1, 6)]
    writer.writerow(head + more)
    order = most_probable(probabilities, 5)
    for name, label, row, best in zip(names, labels, probabilities, order, strict=True):
        rest = (
            [f"{value:.9g}" for value in row]
            if wide
            else [cell(f"{classes[k]}={row[k]:.9g}") for k in best]
        )
        words = map(cell, (name, label, classes[best[0]]))
        writer.writerow([*words, f"{row[best[0]]:.9g}", *rest])
    path.write_text(buffer.getvalue(), "utf-8")
