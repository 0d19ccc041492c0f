"""report.html: one file that shows what a run did and how good the result is."""

from __future__ import annotations

import html
import json
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.data.account import account_lines
from tlkit.paths import legible
from tlkit.report.parts import figure, listed, page, plot, table, tiles
from tlkit.report.reading import read_curves
from tlkit.tasks.base import Task
from tlkit.tasks.find import make_task

PHASES = {
    "import": "imports and building the network",
    "data": "reading the images",
    "features": "computing what is frozen, once",
    "train": "training",
    "evaluate": "evaluating",
    "export": "exporting, and the proof",
}


def write_report(
    folder: pathlib.Path, result: dict[str, Any], data: dict[str, Any]
) -> pathlib.Path:
    """Writes report.html from the contents of a run folder.

    Args:
        folder: Run folder, with recipe.yaml, metrics.csv and plots/.
        result: Contents of result.json, with the evaluation under `evaluation`.
        data: Contents of data.json.
    """
    name, evaluation = result["name"], result["evaluation"]
    task = make_task(result.get("task", "classification"), data["classes"])
    parts = [
        f"<h1>{html.escape(name)}</h1><p class=sub>{html.escape(result['backbone'])}, "
        f"{result['parameters']:,} parameters, {result['image_size'][0]} x {result['image_size'][1]} "
        f"pixels, {result['classes']} {task.plural}, seed {result['seed']}"
        f"{''.join(html.escape(f'; {line}') for line in _files(data)[:1])}</p>",
        tiles(_headlines(task, result)),
        *_missed(result),
        *_worth_knowing(result, data),
        *_curves(task, folder, result),
        *task.report_overview(evaluation, folder / "plots"),
        *_picture(folder / "plots" / "train_images.png", "Images as the network gets them"),
    ]
    if result["stages"]:
        parts.append("<h2>What trained</h2>" + _stages(task, result["stages"]))
    parts += task.report_details(evaluation, data["counts"].get("train", {}))
    parts += _examples(task, folder / "examples")
    parts += _exports(task, result)
    parts += _time(result)
    parts += _how_to(task, folder, result)
    parts.append(
        f"<h2>Recipe</h2><pre>{html.escape((folder / 'recipe.yaml').read_text('utf-8'))}</pre>"
    )
    target = folder / "report.html"
    target.write_text(page(f"{name} - tlkit report", parts), "utf-8")
    return target


def _headlines(task: Task, result: dict[str, Any]) -> list[tuple[str, str]]:
    evaluation, split = result["evaluation"], result["evaluated"]
    return [
        *task.headlines(evaluation, split),
        (f"{evaluation['images']:,}", f"images in {split}"),
        (f"{result['seconds']['total']:.0f} s", "in all"),
    ]


def _files(data: dict[str, Any]) -> list[str]:
    """What happened to every file; empty for a run that did not record it."""
    return account_lines(data["files"]) if "files" in data else []


def _missed(result: dict[str, Any]) -> list[str]:
    if not result.get("missed"):
        return []
    return ["<h2 class=bad>Below what the recipe requires</h2>" + listed(result["missed"])]


def _worth_knowing(result: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Findings about the data and of the sanity checks."""
    notes = [
        *(f"{p['check']}: {p['text']}. {p['hint']}" for p in result.get("sanity", ())),
        *data.get("notes", []),
        *(line.strip() for line in _files(data)[1:]),
        *(f"skipped {b['name']}: {b['reason']}" for b in data["broken"]),
    ]
    for stage in result["stages"]:
        for back in stage.get("rollbacks", ()):
            notes.append(f"rolled back: {back['reason']}")
        if "micro_batch" in stage:
            notes.append(
                f"memory was too small in {stage['name']}: batches were computed "
                f"{stage['micro_batch']} images at a time"
            )
    if not notes:
        return []
    shown = notes[:50] + ([f"and {len(notes) - 50} more"] if len(notes) > 50 else [])
    return [f"<h2>Worth knowing</h2><div class=note>{listed(shown)}</div>"]


def _curves(task: Task, folder: pathlib.Path, result: dict[str, Any]) -> list[str]:
    picture = folder / "plots" / "curves.png"
    if not picture.exists():
        return []
    parts = [
        "<h2>Curves</h2>" + plot(picture, f"loss, {task.metric.name} and learning rate by step")
    ]
    found = read_curves(folder / "metrics.csv", task.metric, result["stages"])
    rows = [(r.stage, r.kind, r.text, r.change) for r in found]
    if rows:
        parts.append(
            "<h3>What they say</h3>" + table(("stage", "reading", "seen", "to try"), rows, True)
        )
    else:
        parts.append("<p class=soft>Nothing odd: no sign of a rate too high or too low, of overfitting "
                     "or of waiting for data.</p>")  # fmt: skip
    return parts


def _picture(file: pathlib.Path, title: str) -> list[str]:
    return [f"<h2>{title}</h2>{plot(file, title)}"] if file.exists() else []


def _stages(task: Task, stages: Sequence[dict[str, Any]]) -> str:
    head = (
        "stage",
        "policy",
        "epochs",
        "best",
        "val loss",
        f"val {task.metric.name}",
        "images/s",
        "time",
    )
    rows = []
    for stage in stages:
        metrics, speed = stage["metrics"], stage["images_per_second"]
        rows.append(
            (
                stage["name"],
                stage["policy"],
                stage["epochs"],
                stage["best_epoch"] or "before",
                f"{metrics['val_loss']:.4f}" if "val_loss" in metrics else "-",
                f"{metrics[task.metric.val]:.4f}" if task.metric.val in metrics else "-",
                f"{speed:.0f}" if speed else "-",
                f"{stage['seconds']:.1f} s",
            )
        )
    return table(head, rows)


def _examples(task: Task, folder: pathlib.Path) -> list[str]:
    """Example images, with the regions that the network looked at."""
    if not (folder / "examples.json").exists():
        return []
    told = json.loads((folder / "examples.json").read_text("utf-8"))
    parts = []
    for kind, title in task.example_titles.items():
        entries = told.get(kind, [])
        if entries:
            shown = "".join(_example(task, folder, entry) for entry in entries)
            parts.append(f"<h2>{title}</h2><div class='gallery wide'>{shown}</div>")
    if parts:
        parts.append(
            "<p class=soft>Beside each picture, in warm colours, where the network saw what it "
            "answered (Grad-CAM).</p>"
        )
    return parts


def _example(task: Task, folder: pathlib.Path, entry: dict[str, Any]) -> str:
    from PIL import Image

    names = [entry["picture"], *([entry["heat"]] if "heat" in entry else [])]
    images = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    text = f"{task.example_caption(entry)}<br>{html.escape(entry['image'])}"
    return figure(images, text, entry["image"])


def _time(result: dict[str, Any]) -> list[str]:
    seconds = result["seconds"]
    rows = [(title, f"{seconds[key]:.1f} s") for key, title in PHASES.items() if seconds.get(key)]
    rows.append(("in all", f"{seconds['total']:.1f} s"))
    return [
        "<h2>Time and memory</h2>" + table(("part", "time"), rows),
        f"<p class=soft>At most {result['peak_memory_mb']:,.0f} MB of memory.</p>",
    ]


def _exports(task: Task, result: dict[str, Any]) -> list[str]:
    if not result["export"]:
        return []
    rows, name = [], task.metric.name
    for form, export in result["export"].items():
        parity = export["parity"]
        rows.append(
            (
                form,
                f"{100 * parity['agreement']:.1f} %",
                f"{parity['largest_difference']:.1e}",
                "-" if parity[name] is None else f"{parity[name]:.4f}",
                f"{parity['megabytes']:.1f} MB",
                f"{parity['images_per_second']:.0f}",
                f"{parity['milliseconds']:.1f} ms",
            )
        )
    head = ("format", "same answers", "difference", name, "size", "images/s", "one image")
    return [
        "<h2>Exports, each asked for the same images in a process of its own</h2>"
        + table(head, rows)
    ]


def _how_to(task: Task, folder: pathlib.Path, result: dict[str, Any]) -> list[str]:
    run = legible(folder.as_posix())
    typed = shlex.quote(run)
    lines = [
        f"tlkit predict {typed} PHOTOS",
        f"tlkit evaluate {typed} LABELLED_PHOTOS",
        f"tlkit reproduce {typed}      # the same recipe again, and what differs",
    ]
    code = [
        "import keras",
        f"model = keras.models.load_model({run + '/model.keras'!r})   # RGB in [0, 255] to "
        f"{task.served[0].name}",
        f"names = open({run + '/labels.txt'!r}).read().splitlines()",
    ]
    for export in result["export"].values():
        code += ["", "import tensorflow as tf", f"served = tf.saved_model.load({run + '/' + export['path']!r})",
                 "served.signatures['serve_bytes'](image_bytes=tf.constant([open('photo.jpg', 'rb').read()]))"]  # fmt: skip
        break
    shell, python = html.escape("\n".join(lines)), html.escape("\n".join(code))
    return [f"<h2>How to use and repeat it</h2><pre>{shell}</pre><pre>{python}</pre>"]
