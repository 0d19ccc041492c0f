"""The part of report.html about an evaluation."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Sequence
from typing import Any

from tlkit.report.parts import plot, table
from tlkit.tasks.classification.plots import MOST_NAMES
from tlkit.text import one_line

FIGURES = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("top_5_accuracy", "top-5 accuracy"),
)
MOST_ROWS = 200  # most classes that the page lists
MOST_CONFUSED = 50  # most pairs of classes


def headlines(evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
    """The metrics with their confidence intervals, as pairs of value and description."""
    found = []
    sure = evaluation.get("intervals", {})
    for key, title in FIGURES:
        if key in evaluation:
            low, high = sure.get(key, (None, None))
            between = "" if low is None else f", 95 % between {100 * low:.1f} and {100 * high:.1f}"
            where = f" on {split}" if key == "accuracy" else ""
            found.append((f"{100 * evaluation[key]:.1f} %", f"{title}{where}{between}"))
    if "calibration" in evaluation:
        found.append((f"{100 * evaluation['calibration']['ece']:.1f} %", "calibration error (ECE)"))
    return found


def overview(evaluation: dict[str, Any], plots: pathlib.Path) -> list[str]:
    """Confusion matrix and calibration."""
    tabled = _confusion(evaluation)
    pictures = [] if tabled else [("Confusion matrix", "confusion_matrix.png")]
    pictures.append(("Calibration", "calibration.png"))
    return tabled + [
        f"<h2>{title}</h2>{plot(plots / file, title)}"
        for title, file in pictures
        if (plots / file).exists()
    ]


def details(evaluation: dict[str, Any], trained_on: dict[str, int]) -> list[str]:
    """A table with a row for each class, and the most confused classes."""
    if "per_class" not in evaluation:
        return []
    rows = _classes(evaluation["per_class"], trained_on)
    return ["<h2>Classes</h2>" + rows, *_confused(evaluation)]


def _confusion(evaluation: dict[str, Any]) -> list[str]:
    """The confusion matrix as an HTML table, so that the browser draws names; few classes only."""
    rows = evaluation.get("per_class", ())
    if not rows or len(rows) > MOST_NAMES or "confusion" not in evaluation:
        return []
    names = [f"<bdi>{html.escape(one_line(row['class']))}</bdi>" for row in rows]
    head = "".join(f"<th title='{html.escape(row['class'])}'><span>{name}</span></th>"
                   for row, name in zip(rows, names, strict=True))  # fmt: skip
    body = ""
    for name, counts in zip(names, evaluation["confusion"], strict=True):
        total = max(1, sum(counts))
        cells = "".join(
            f"<td style='--share:{count / total:.3f}'{' class=most' if 2 * count > total else ''}>"
            f"{count or ''}</td>"
            for count in counts
        )
        body += f"<tr><th>{name}</th>{cells}</tr>"
    return [
        "<h2>Confusion matrix</h2><p class=soft>A row a true class, a column a predicted one.</p>"
        f"<div class=scroll><table class=confusion><tr><th></th>{head}</tr>{body}</table></div>"
    ]


def _classes(rows: Sequence[dict[str, Any]], counts: dict[str, int]) -> str:
    known = [row for row in rows if row["images"] or counts.get(row["class"])]
    shown = [
        (
            one_line(row["class"]),
            counts.get(row["class"], "-"),
            row["images"],
            *(
                "-" if row[key] is None else f"{row[key]:.3f}"
                for key in ("precision", "recall", "f1")
            ),
        )
        for row in _weakest(known)
    ]
    head = ("class", "train images", "images", "precision", "recall", "F1")
    less = (
        f"<p class=soft>The {MOST_ROWS} classes of the lowest F1; all {len(known):,} are in "
        "result.json.</p>"
        if len(known) > MOST_ROWS
        else ""
    )
    return less + table(head, shown)


def _weakest(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The classes to list: those with the lowest F1 if there are too many to read."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: 2.0 if row["f1"] is None else row["f1"])[:MOST_ROWS]


def _confused(evaluation: dict[str, Any]) -> list[str]:
    """Which classes are confused, if the matrix would be too large."""
    rows = [
        (row["class"], row["predicted"], row["images"]) for row in evaluation.get("confused", ())
    ]
    if not rows:
        return []
    return [
        "<h2>Most often taken for another</h2>"
        + table(("class", "taken for", "images"), rows[:MOST_CONFUSED])
    ]
