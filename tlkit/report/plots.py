"""The plots of a run, each as a PNG file."""

from __future__ import annotations

import csv
import itertools
import pathlib
from typing import Any

import numpy as np

from tlkit.report.glyphs import font_for
from tlkit.text import one_line, shortened

BLUE, ORANGE, GREY = "#2166ac", "#d6604d", "#888888"


def axes_of(width: float, height: float, columns: int = 1) -> Any:
    """A figure of a size in inches, and its axes side by side; no axes if `columns` is 0."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    if not columns:
        return figure, None
    axes = figure.subplots(1, columns)
    for axis in np.atleast_1d(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plot_curves(metrics: pathlib.Path, metric: str, target: pathlib.Path) -> bool:
    """Loss and metric by step, with the learning rate below; False if nothing was trained."""
    with open(metrics, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if not row["val_loss"]]
    epochs = [row for row in rows if row["val_loss"]]
    if not epochs:
        return False
    figure, _ = axes_of(11, 5.6, 0)
    (loss, other), rates = figure.subplots(2, 2, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    at = [int(row["step"]) for row in epochs]
    for axis, key in ((loss, "loss"), (other, metric)):
        values = [float(row[key]) for row in epochs]
        axis.plot(at, values, color=BLUE, marker="o", ms=3, label="train")
        values = [float(row[f"val_{key}"]) for row in epochs]
        axis.plot(at, values, color=ORANGE, marker="o", ms=3, label="validation")
        axis.set_title(key.replace("_", " "))
        axis.legend(frameon=False)
    for rate in rates:
        rate.plot(
            [int(r["step"]) for r in steps], [float(r["learning_rate"]) for r in steps], color=GREY
        )
        rate.set_ylabel("learning rate")
        rate.set_xlabel("step")
        rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for before, row in itertools.pairwise(epochs):
        if before["stage"] != row["stage"]:
            for axis in (loss, other, *rates):
                axis.axvline(int(before["step"]), color=GREY, lw=0.8, ls=":")
    for axis in (loss, other, *rates):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(target)
    return True


def plot_images(images: np.ndarray, captions: list[str], target: pathlib.Path) -> None:
    """Up to 16 images as the network sees them, each with a caption above."""
    from PIL import Image, ImageDraw, ImageFont

    count = min(16, len(images))
    columns = min(8, count)
    rows = -(-count // columns)
    side, gap, line = 150, 8, 18
    sheet = Image.new(
        "RGB", (columns * (side + gap) + gap, rows * (side + gap + line) + gap), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for index, (image, caption) in enumerate(zip(images[:count], captions, strict=False)):
        picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
        scale = side / max(picture.size)
        picture = picture.resize([max(1, round(length * scale)) for length in picture.size])
        x = gap + (side + gap) * (index % columns)
        y = gap + (side + gap + line) * (index // columns)
        caption = shortened(one_line(caption), 60)
        path = font_for(caption)
        sheet.paste(picture, (x + (side - picture.width) // 2, y + line))
        if path is None:
            continue
        font = ImageFont.truetype(path, 12, layout_engine=ImageFont.Layout.BASIC)
        while caption and font.getlength(caption) > side:
            caption = caption.removesuffix("...")[:-1] + "..." if len(caption) > 4 else ""
        draw.text((x + (side - font.getlength(caption)) / 2, y), caption, "black", font)
    sheet.save(target)


def plot_sweep(sweep: Any, target: pathlib.Path) -> None:
    """Loss over learning rate, with the suggested rate marked."""
    figure, axis = axes_of(7, 4)
    axis.semilogx(sweep.rates, sweep.losses, color=GREY, lw=0.8, label="each step")
    axis.semilogx(sweep.rates, sweep.smoothed, color=BLUE, lw=2, label="smoothed")
    for rate, name, colour in (
        (sweep.valley, "valley", ORANGE),
        (sweep.steepest, "steepest", GREY),
    ):
        axis.axvline(rate, color=colour, ls="--", lw=1.2, label=f"{name}: {rate:.1e}")
    low, high = float(sweep.smoothed.min()), float(sweep.smoothed[0])
    axis.set_ylim(low - 0.1 * (high - low + 0.1), high + (high - low) + 0.2)
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    axis.legend(frameon=False)
    figure.savefig(target)


def plot_runs(
    metrics: list[pathlib.Path], names: list[str], metric: str, target: pathlib.Path
) -> bool:
    """Validation loss and metric of several runs by epoch; False if none was trained."""
    import matplotlib

    figure, axes = axes_of(11, 3.8, 2)
    drawn = False
    for index, (path, name) in enumerate(zip(metrics, names, strict=True)):
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["val_loss"]]
        colour = matplotlib.colormaps["tab10"](index % 10)
        at = range(1, len(rows) + 1)
        for axis, key in zip(axes, ("loss", metric), strict=True):
            axis.plot(at, [float(r[f"val_{key}"]) for r in rows], color=colour, marker="o", ms=3,
                      label=name)  # fmt: skip
            axis.plot(at, [float(r[key]) for r in rows], color=colour, lw=0.8, ls=":")
        drawn = drawn or bool(rows)
    for axis, title in zip(axes, ("loss", metric), strict=True):
        axis.set_title(f"{title}: validation, training dotted")
        axis.set_xlabel("epoch")
        axis.legend(frameon=False)
    if drawn:
        figure.savefig(target)
    return drawn
