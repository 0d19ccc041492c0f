"""The plots of a run, each a PNG file."""

from __future__ import annotations

import csv
import itertools
import pathlib
from typing import Any

import numpy as np

from tlkit.report.glyphs import drawn, font_for, literal
from tlkit.text import one_line, shortened

BLUE, ORANGE, GREY = "#2166ac", "#d6604d", "#888888"
MOST_NAMES = 40  # classes up to which the confusion matrix has names and numbers


def _axes(width: float, height: float, columns: int = 1) -> Any:
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
    """Loss and metric by step with the learning rate under them; False where nothing trained."""
    with open(metrics, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [row for row in rows if not row["val_loss"]]
    epochs = [row for row in rows if row["val_loss"]]
    if not epochs:
        return False
    figure, _ = _axes(11, 5.6, 0)
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


def plot_calibration(found: dict[str, Any], target: pathlib.Path) -> None:
    """Accuracy over probability, a point a bin, as large as the bin is full."""
    figure, axis = _axes(4.6, 4.2)
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
    """Names of classes as matplotlib draws them, and the families of their fonts."""
    names, families = drawn(classes)
    return [literal(name) for name in names], families


def plot_confusion(matrix: np.ndarray, classes: list[str], target: pathlib.Path) -> None:
    """The confusion matrix, colours by share of the true class."""
    named = len(classes) <= MOST_NAMES
    side = min(14.0, max(4.0, 0.42 * len(classes) + 2.2)) if named else 8.0
    figure, axis = _axes(side, side * 0.92)
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
    """F1 of each class, the weakest on top."""
    rows = sorted(table, key=lambda row: -1 if row["f1"] is None else row["f1"])[:MOST_NAMES]
    figure, axis = _axes(6, 0.8 + 0.28 * len(rows))
    numbers = {row["class"]: number for number, row in enumerate(table)}
    names, families = _labels([row["class"] for row in table])
    axis.barh(range(len(rows)), [row["f1"] or 0 for row in rows][::-1], color=BLUE)
    shown = [names[numbers[row["class"]]] for row in rows]
    axis.set_yticks(range(len(rows)), shown[::-1], fontfamily=families)
    axis.set_xlim(0, 1)
    axis.set_xlabel("F1")
    figure.savefig(target)


def plot_images(images: np.ndarray, captions: list[str], target: pathlib.Path) -> None:
    """Up to 16 images as the network gets them, each with its caption above."""
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
    """Loss over learning rate, with what is suggested."""
    figure, axis = _axes(7, 4)
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


def plot_runs(metrics: list[pathlib.Path], names: list[str], target: pathlib.Path) -> bool:
    """Validation loss and accuracy of several runs by epoch; False where none was trained."""
    import matplotlib

    figure, (loss, accuracy) = _axes(11, 3.8, 2)
    drawn = False
    for index, (path, name) in enumerate(zip(metrics, names, strict=True)):
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["val_loss"]]
        colour = matplotlib.colormaps["tab10"](index % 10)
        at = range(1, len(rows) + 1)
        for axis, key in ((loss, "loss"), (accuracy, "accuracy")):
            axis.plot(at, [float(r[f"val_{key}"]) for r in rows], color=colour, marker="o", ms=3,
                      label=name)  # fmt: skip
            axis.plot(at, [float(r[key]) for r in rows], color=colour, lw=0.8, ls=":")
        drawn = drawn or bool(rows)
    for axis, title in ((loss, "loss"), (accuracy, "accuracy")):
        axis.set_title(f"{title}: validation, training dotted")
        axis.set_xlabel("epoch")
        axis.legend(frameon=False)
    if drawn:
        figure.savefig(target)
    return drawn
