"""The plots of an evaluation, each as a PNG file."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from tlkit.report.glyphs import drawn, literal
from tlkit.report.plots import BLUE, GREY, axes_of

MOST_OUTPUTS = 12


def plot_predicted(true: np.ndarray, found: np.ndarray, name: str, target: pathlib.Path) -> None:
    """Predicted over true values, with the line of equality."""
    figure, axis = axes_of(4.8, 4.4)
    low, high = float(min(true.min(), found.min())), float(max(true.max(), found.max()))
    axis.plot([low, high], [low, high], color=GREY, lw=1, ls="--", label="as it should be")
    axis.scatter(true, found, s=14, color=BLUE, alpha=0.5, linewidths=0)
    (shown,), families = drawn([name])
    axis.set_xlabel(f"true {literal(shown)}", fontfamily=families)
    axis.set_ylabel("predicted")
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(target)


def plot_residuals(true: np.ndarray, found: np.ndarray, name: str, target: pathlib.Path) -> None:
    """Residuals over predicted values; residuals should not depend on the prediction."""
    figure, axis = axes_of(4.8, 4.4)
    axis.axhline(0, color=GREY, lw=1, ls="--")
    axis.scatter(found, found - true, s=14, color=BLUE, alpha=0.5, linewidths=0)
    (shown,), families = drawn([name])
    axis.set_xlabel(f"predicted {literal(shown)}", fontfamily=families)
    axis.set_ylabel("predicted less true")
    figure.savefig(target)


def files_of(outputs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Each output with the names of its two plots, for as many outputs as a page shows."""
    return [
        (name, f"predicted_{k}.png", f"residuals_{k}.png")
        for k, name in enumerate(outputs[:MOST_OUTPUTS])
    ]
