"""The part of report.html about an evaluation."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tlkit.report.parts import plot, table
from tlkit.tasks.regression.plots import files_of
from tlkit.text import one_line

FIGURES = (("r2", "R2"), ("mae", "mean absolute error"), ("rmse", "root of the mean squared error"))


def headlines(evaluation: dict[str, Any], split: str) -> list[tuple[str, str]]:
    """The metrics with their confidence intervals, as pairs of value and description."""
    found = []
    sure = evaluation.get("intervals", {})
    for key, title in FIGURES:
        if evaluation.get(key) is not None:
            low, high = sure.get(key, (None, None))
            between = "" if low is None else f", 95 % between {low:g} and {high:g}"
            where = f" on {split}" if key == "r2" else ""
            found.append((f"{evaluation[key]:.4g}", f"{title}{where}{between}"))
    return found


def overview(outputs: Sequence[str], plots: pathlib.Path) -> list[str]:
    """Predicted and true values of each output, and the residuals."""
    parts = []
    for name, predicted, residuals in files_of(outputs):
        for file, title in ((predicted, "predicted and true"), (residuals, "errors")):
            if (plots / file).exists():
                parts.append(plot(plots / file, f"{one_line(name)}: {title}"))
    return [f"<h2>Predicted values</h2>{''.join(parts)}"] if parts else []


def details(evaluation: dict[str, Any]) -> list[str]:
    """A table with a row for each output."""
    rows = [
        (
            one_line(row["output"]),
            "-" if row["r2"] is None else f"{row['r2']:.4f}",
            *(f"{row[key]:.4g}" for key in ("mae", "rmse", "median_error", "bias")),
        )
        for row in evaluation.get("per_output", ())
    ]
    if not rows:
        return []
    head = ("output", "R2", "mean absolute error", "RMSE", "median error", "bias")
    return ["<h2>Outputs</h2>" + table(head, rows)]
