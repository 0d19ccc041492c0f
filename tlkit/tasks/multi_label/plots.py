"""The plots of an evaluation, each as a PNG file."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tlkit.report.glyphs import drawn, literal
from tlkit.report.plots import BLUE, GREY, ORANGE, axes_of

COLUMNS = 4
MOST_BARS = 40


def plot_curves(
    curves: Mapping[str, dict[str, list[float]]],
    table: Sequence[Mapping[str, Any]],
    target: pathlib.Path,
) -> None:
    """Precision over recall for each label, with the point of its threshold marked.

    Args:
        curves: `curves` of `tlkit.tasks.multi_label.metrics.evaluate`.
        table: Its `per_class`.
        target: File to write.
    """
    rows = {row["class"]: row for row in table}
    columns = min(COLUMNS, len(curves))
    lines = -(-len(curves) // columns)
    figure, _ = axes_of(2.6 * columns + 0.4, 2.4 * lines, 0)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    names, families = drawn(list(curves))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    for axis, name, shown in zip(axes, curves, names, strict=False):
        row, curve = rows[name], curves[name]
        axis.plot(curve["recall"], curve["precision"], color=BLUE, lw=1.4)
        if row["precision"] is not None and row["recall"] is not None:
            axis.plot(row["recall"], row["precision"], "o", color=ORANGE, ms=5)
        axis.axhline(curve["precision"][-1], color=GREY, lw=0.8, ls="--")
        axis.set_xlim(0, 1.03)
        axis.set_ylim(0, 1.05)
        axis.set_title(f"{literal(shown)}  AP {row['ap']:.3f}", fontsize=9, fontfamily=families)
    for axis in axes[:: len(axes) // lines]:
        axis.set_ylabel("precision", fontsize=8)
    for axis in axes[-columns:]:
        axis.set_xlabel("recall", fontsize=8)
    figure.savefig(target)


def plot_labels(table: Sequence[Mapping[str, Any]], target: pathlib.Path) -> None:
    """AP of each label, weakest on top."""
    known = [row for row in table if row["ap"] is not None]
    rows = sorted(known, key=lambda row: float(row["ap"]))[:MOST_BARS]
    figure, axis = axes_of(6, 0.8 + 0.28 * len(rows))
    names, families = drawn([row["class"] for row in rows])
    axis.barh(range(len(rows)), [row["ap"] for row in rows][::-1], color=BLUE)
    axis.set_yticks(range(len(rows)), [literal(n) for n in names][::-1], fontfamily=families)
    axis.set_xlim(0, 1)
    axis.set_xlabel("average precision")
    figure.savefig(target)
