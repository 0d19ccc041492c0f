"""The part of report.html about an evaluation."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tlkit.report.parts import plot, table
from tlkit.text import one_line

FIGURES = (
    ("map", "mean average precision"),
    ("f1_micro", "F1 of all labels together"),
    ("f1_macro", "mean F1 of the labels"),
    ("exact", "images with all labels right"),
)
BY_THRESHOLD = ("f1_micro", "f1_macro", "exact")
MOST_ROWS = 200  # most labels that the page lists
SAME_IMAGES = "its thresholds chosen on the same images"


def headlines(evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
    """The metrics with their confidence intervals, as pairs of value and description.

    Args:
        evaluation: Evaluation of a split.
        split: Name of the split; thresholds were chosen on the images of val.
    """
    found = []
    sure = evaluation.get("intervals", {})
    for key, title in FIGURES:
        if evaluation.get(key) is not None:
            low, high = sure.get(key, (None, None))
            between = "" if low is None else f", 95 % between {100 * low:.1f} and {100 * high:.1f}"
            where = f" on {split}" if key == "map" else ""
            flatters = f"; {SAME_IMAGES}" if split == "val" and key in BY_THRESHOLD else ""
            found.append((f"{100 * evaluation[key]:.1f} %", f"{title}{where}{between}{flatters}"))
    return found


def overview(plots: pathlib.Path) -> list[str]:
    """Precision-recall curves and average precision of the labels."""
    pictures = (
        ("Precision and recall", "precision_recall.png"),
        ("Average precision", "labels.png"),
    )
    return [
        f"<h2>{title}</h2>{plot(plots / file, title)}"
        for title, file in pictures
        if (plots / file).exists()
    ]


def details(evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
    """A table with a row for each label."""
    if "per_class" not in evaluation:
        return []
    rows = evaluation["per_class"]
    shown = [
        (
            one_line(row["class"]),
            trained_on.get(row["class"], "-"),
            row["images"],
            *(
                "-" if row[key] is None else f"{row[key]:.3f}"
                for key in ("ap", "precision", "recall", "f1", "threshold")
            ),
        )
        for row in _weakest(rows)
    ]
    head = ("label", "train images", "images", "AP", "precision", "recall", "F1", "threshold")
    less = (
        f"<p class=soft>The {MOST_ROWS} labels of the lowest AP; all {len(rows):,} are in "
        "result.json.</p>"
        if len(rows) > MOST_ROWS
        else ""
    )
    return ["<h2>Labels</h2>" + less + table(head, shown)]


def _weakest(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The labels to list: those with the lowest AP if there are too many to read."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: 2.0 if row["ap"] is None else row["ap"])[:MOST_ROWS]
