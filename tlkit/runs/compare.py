"""Runs side by side: how they differ, their results, and whether these differ by chance."""

from __future__ import annotations

import csv
import dataclasses
import html
import pathlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from tlkit.recipe.load import load_recipe
from tlkit.report.parts import page, plot, table
from tlkit.report.plots import plot_runs
from tlkit.runs import folder as run_folder
from tlkit.tasks.base import Task
from tlkit.tasks.find import make_task


@dataclasses.dataclass
class Comparison:
    """One of the finished runs to compare.

    Attributes:
        folder: Run folder.
        result: Contents of result.json.
        recipe: Resolved recipe, as dotted keys and values.
        task: Task of the run.
        judged: Image name, SHA-256 of its file and its label -> score of its prediction.
    """

    folder: pathlib.Path
    result: dict[str, Any]
    recipe: dict[str, Any]
    task: Task
    judged: dict[Hashable, float]


def read_compared(folder: str | pathlib.Path) -> Comparison:
    """Reads what a comparison needs from a run.

    Raises:
        RunError: if it did not finish.
    """
    path, result = run_folder.finished(folder)
    recipe = load_recipe(path / "resolved.yaml").model_dump(mode="json", exclude_none=True)
    with open(path / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # different images may have the same name in two data sets
    content = _contents(path / "images.csv")
    task = make_task(result.get("task", "classification"), [])
    judged: dict[Hashable, float] = {
        (row["image"], content.get(row["image"], ""), row["label"]): task.judge(row) for row in rows
    }
    return Comparison(path, result, flat(recipe), task, judged)


def _contents(path: pathlib.Path) -> dict[str, str]:
    """SHA-256 of each image file by its name; empty if the run did not record any."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {row["image"]: row["sha256"] for row in csv.DictReader(file)}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as dotted keys and plain values."""
    if isinstance(value, dict) and value:
        pairs = value.items()
    elif isinstance(value, list) and value:
        pairs = {str(index): item for index, item in enumerate(value)}.items()
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in pairs:
        found |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def differences(compared: Sequence[Comparison]) -> list[tuple[str, list[Any]]]:
    """Keys of the recipes whose values are not the same in all runs."""
    keys = list(dict.fromkeys(key for run in compared for key in run.recipe))
    rows = [(key, [run.recipe.get(key, "-") for run in compared]) for key in keys]
    return [(key, values) for key, values in rows if any(v != values[0] for v in values)]


def describe(compared: Sequence[Comparison]) -> list[str]:
    """The comparison as lines of text."""
    names = [str(run.folder) for run in compared]
    lines = [f"{chr(65 + k)}  {name}" for k, name in enumerate(names)]
    rows = differences(compared)
    lines.append("")
    lines += [
        f"{key}: " + "  ".join(f"{chr(65 + k)} {value}" for k, value in enumerate(values))
        for key, values in rows
    ] or ["the recipes are the same"]
    lines.append("")
    for row in figures(compared):
        lines.append("  ".join(f"{cell!s:>{24 if k else 22}}" for k, cell in enumerate(row)))
    lines += ["", *verdicts(compared)]
    return lines


def figures(compared: Sequence[Comparison]) -> list[list[str]]:
    """Metrics of each run with confidence intervals, one row each, and a header."""
    rows = [["", *(chr(65 + k) for k in range(len(compared)))]]
    for key in compared[0].task.compared:
        cells = []
        for run in compared:
            evaluation = run.result["evaluation"]
            interval = evaluation.get("intervals", {}).get(key)
            shown = "-" if key not in evaluation else f"{evaluation[key]:.4f}"
            cells.append(shown + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""))
        rows.append([key.replace("_", " "), *cells])
    rows.append(["measured on", *(_measured(run) for run in compared)])
    rows.append(["seconds", *(f"{run.result['seconds']['total']:.0f}" for run in compared)])
    rows.append(["parameters", *(f"{run.result['parameters']:,}" for run in compared)])
    return rows


def _measured(run: Comparison) -> str:
    return f"{run.result['evaluation']['images']} of {run.result['evaluated']}"


def verdicts(compared: Sequence[Comparison]) -> list[str]:
    """Compares each run with the first, on the images that both have predicted."""
    first, lines = compared[0], []
    for index, other in enumerate(compared[1:], start=1):
        name = chr(65 + index)
        if not first.judged.keys() & other.judged.keys():
            lines.append(f"A and {name} have judged no image in common")
            continue
        lines.append(first.task.verdict(first.judged, other.judged, name))
        missing = len(first.judged.keys() ^ other.judged.keys())
        if missing:
            lines.append(f"  {missing} images were judged by one of them alone and are left out")
    return lines


def write_comparison(compared: Sequence[Comparison], target: pathlib.Path) -> None:
    """Writes the comparison as a page.

    Args:
        compared: Two or more runs.
        target: Output file.
    """
    letters = [chr(65 + k) for k in range(len(compared))]
    parts = ["<h1>Runs compared</h1>"]
    parts.append(
        table(("run", "folder"), [*zip(letters, (r.folder for r in compared), strict=True)], True)
    )
    head, *rows = figures(compared)
    parts.append("<h2>Figures</h2>" + table(head, rows))
    parts.append(
        "<p class=soft>In brackets, where 95 % of bootstrap samples of the images lie.</p>"
    )
    parts += [f"<p>{html.escape(line)}</p>" for line in verdicts(compared)]
    changed = [(key, *map(str, values)) for key, values in differences(compared)]
    parts.append("<h2>Recipes</h2>")
    parts.append(
        table(("key", *letters), changed, True) if changed else "<p>They are the same.</p>"
    )
    picture = target.with_suffix(".png")
    if plot_runs(
        [run.folder / "metrics.csv" for run in compared],
        letters,
        compared[0].task.metric.name,
        picture,
    ):
        parts.append("<h2>Curves</h2>" + plot(picture, "curves of all runs"))
        picture.unlink()
    target.write_text(page("Runs compared - tlkit", parts), "utf-8")


def same_numbers(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """The differences between two runs of one recipe; empty if they are bit-identical.

    It compares the rows of metrics.csv except for times, the weights of model.keras, the
    images and the environment.
    """
    import keras

    found = []
    for name in ("environment.json", "data.json"):
        a, b = (flat(run_folder.read_json(f / name)) for f in (one, other))
        for key in dict.fromkeys([*a, *b]):
            if a.get(key) != b.get(key) and not key.startswith(("notes", "git.")):
                found.append(f"{name[:-5]} {key}: {a.get(key)} before, {b.get(key)} now")
    before, after = (_rows(f / "metrics.csv") for f in (one, other))
    if len(before) != len(after):
        found.append(f"metrics.csv: {len(before)} rows before, {len(after)} now")
    unequal = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
    if unequal:
        a, b = unequal[0]
        key = next(key for key in a if a[key] != b.get(key))
        found.append(
            f"metrics.csv: {len(unequal)} rows differ, first at stage {a['stage']}, step {a['step']}: "
            f"{key} {a[key]} before, {b.get(key)} now"
        )
    weights = [
        keras.models.load_model(f / "model.keras", compile=False, safe_mode=True).get_weights()
        for f in (one, other)
    ]
    largest = max(
        (float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True) if a.size), default=0.0
    )
    if largest:
        found.append(f"weights: largest difference {largest:.2g}")
    return found


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {k: v for k, v in row.items() if k not in ("images_per_second", "data_wait")}
            for row in csv.DictReader(file)
        ]
