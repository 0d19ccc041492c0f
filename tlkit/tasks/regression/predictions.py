"""predictions.csv: the model's answers for each image."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tlkit.text import cell

PREDICTED = "predicted:"  # prefix of an output's name in the header


def write_predictions(
    path: pathlib.Path,
    names: Sequence[str],
    labels: Sequence[str],
    answers: np.ndarray,
    columns: Sequence[str],
) -> None:
    """Writes one row per image: its name, its label, and each predicted value."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["image", "label", *(f"{PREDICTED}{name}" for name in columns)])
    for name, label, row in zip(names, labels, answers, strict=True):
        writer.writerow([cell(name), cell(label), *(f"{value:.9g}" for value in row)])
    path.write_text(buffer.getvalue(), "utf-8")
