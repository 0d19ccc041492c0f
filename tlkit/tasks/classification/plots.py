"""The plots of an evaluation, each as a PNG file."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tlkit.report.glyphs import drawn, literal
from tlkit.report.plots import BLUE, GREY, axes_of

MOST_NAMES = 40  # up to this many classes, the confusion matrix shows names and numbers


def plot_calibration(found: dict[str, Any], target: pathlib.Path) -> None:
    """Accuracy over probability, one point per bin, sized by the number of images."""
    figure, axis = axes_of(4.6, 4.2)
    rows = found["bins"]
    most = max(row["images"] for row in rows)
    axis.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="as it should be")
    sure, true = [row["confidence"] for row in rows], [row["accuracy"] for row in rows]
    axis.plot(sure, true, color=BLUE, lw=1)
    axis.scatter(
        sure, true, s=[20 + 180 * row["images"] / most for row in rows], color=BLUE, alpha=0.7
    )
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("probability of the predicted class")
    axis.set_ylabel("share of right answers")
    axis.set_title(f"calibration error {100 * found['ece']:.1f} %")
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(target)


def _labels(classes: list[str]) -> tuple[list[str], list[str]]:
    """Class names as matplotlib draws them, and their font families."""
    names, families = drawn(classes)
    return [literal(name) for name in names], families


def plot_confusion(matrix: np.ndarray, classes: list[str], target: pathlib.Path) -> None:
    """The confusion matrix, coloured by fraction of the true class."""
    named = len(classes) <= MOST_NAMES
    side = min(14.0, max(4.0, 0.42 * len(classes) + 2.2)) if named else 8.0
    figure, axis = axes_of(side, side * 0.92)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if named:
        names, families = _labels(classes)
        axis.set_xticks(range(len(classes)), names, rotation=45, ha="right", fontfamily=families)
        axis.set_yticks(range(len(classes)), names, fontfamily=families)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                dark = share[row, column] > 0.5
                axis.text(
                    column, row, str(count), ha="center", va="center", fontsize=8,
                    color="white" if dark else "black",
                )  # fmt: skip
    figure.savefig(target)


def plot_classes(table: list[dict[str, Any]], target: pathlib.Path) -> None:
    """F1 of each class, weakest on top."""
    rows = sorted(table, key=lambda row: -1 if row["f1"] is None else row["f1"])[:MOST_NAMES]
    figure, axis = axes_of(6, 0.8 + 0.28 * len(rows))
    numbers = {row["class"]: number for number, row in enumerate(table)}
    names, families = _labels([row["class"] for row in table])
    axis.barh(range(len(rows)), [row["f1"] or 0 for row in rows][::-1], color=BLUE)
    shown = [names[numbers[row["class"]]] for row in rows]
    axis.set_yticks(range(len(rows)), shown[::-1], fontfamily=families)
    axis.set_xlim(0, 1)
    axis.set_xlabel("F1")
    figure.savefig(target)
