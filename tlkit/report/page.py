"""report.html: one file that shows what a run did and how well."""

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
from tlkit.report.plots import MOST_NAMES
from tlkit.report.reading import read_curves
from tlkit.tasks.base import Task
from tlkit.tasks.find import make_task
from tlkit.text import one_line

FIGURES = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("top_5_accuracy", "top-5 accuracy"),
)
MOST_ROWS = 200  # classes that the page lists
MOST_CONFUSED = 50  # pairs of classes
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
    """Writes report.html from what lies in a run folder.

    Args:
        folder: The run, with recipe.yaml, metrics.csv and plots/.
        result: result.json, with the evaluation under `evaluation`.
        data: data.json.
    """
    name, evaluation = result["name"], result["evaluation"]
    task = make_task(result.get("task", "classification"), data["classes"])
    parts = [
        f"<h1>{html.escape(name)}</h1><p class=sub>{html.escape(result['backbone'])}, "
        f"{result['parameters']:,} parameters, {result['image_size'][0]} x {result['image_size'][1]} "
        f"pixels, {result['classes']} classes, seed {result['seed']}"
        f"{''.join(html.escape(f'; {line}') for line in _files(data)[:1])}</p>",
        tiles(_figures(result, evaluation)),
        *_missed(result),
        *_worth_knowing(result, data),
        *_curves(task, folder, result),
        *_confusion(evaluation),
        *_pictures(
            folder, "per_class" in evaluation and len(evaluation["per_class"]) <= MOST_NAMES
        ),
    ]
    if result["stages"]:
        parts.append("<h2>What trained</h2>" + _stages(task, result["stages"]))
    if "per_class" in evaluation:
        parts.append("<h2>Classes</h2>" + _classes(evaluation["per_class"], data))
    parts += _confused(evaluation)
    parts += _examples(folder / "examples")
    parts += _exports(task, result)
    parts += _time(result)
    parts += _how_to(folder, result)
    parts.append(
        f"<h2>Recipe</h2><pre>{html.escape((folder / 'recipe.yaml').read_text('utf-8'))}</pre>"
    )
    target = folder / "report.html"
    target.write_text(page(f"{name} - tlkit report", parts), "utf-8")
    return target


def _figures(result: dict[str, Any], evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    sure = evaluation.get("intervals", {})
    for key, title in FIGURES:
        if key in evaluation:
            low, high = sure.get(key, (None, None))
            between = "" if low is None else f", 95 % between {100 * low:.1f} and {100 * high:.1f}"
            where = f" on {result['evaluated']}" if key == "accuracy" else ""
            found.append((f"{100 * evaluation[key]:.1f} %", f"{title}{where}{between}"))
    if "calibration" in evaluation:
        found.append((f"{100 * evaluation['calibration']['ece']:.1f} %", "calibration error (ECE)"))
    found.append((f"{evaluation['images']:,}", f"images in {result['evaluated']}"))
    found.append((f"{result['seconds']['total']:.0f} s", "in all"))
    return found


def _files(data: dict[str, Any]) -> list[str]:
    """What became of every file; nothing for a run that did not write it down."""
    return account_lines(data["files"]) if "files" in data else []


def _missed(result: dict[str, Any]) -> list[str]:
    if not result.get("missed"):
        return []
    return ["<h2 class=bad>Below what the recipe requires</h2>" + listed(result["missed"])]


def _worth_knowing(result: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """What data and sanity checks found."""
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


def _confusion(evaluation: dict[str, Any]) -> list[str]:
    """The confusion matrix as a table, whose names the browser draws; of few classes only."""
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


def _pictures(folder: pathlib.Path, tabled: bool) -> list[str]:
    return [
        f"<h2>{title}</h2>{plot(folder / 'plots' / file, title)}"
        for title, file in (
            ("Confusion matrix", "confusion_matrix.png"),
            ("Calibration", "calibration.png"),
            ("Images as the network gets them", "train_images.png"),
        )
        if (folder / "plots" / file).exists() and not (tabled and file == "confusion_matrix.png")
    ]


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


def _classes(rows: Sequence[dict[str, Any]], data: dict[str, Any]) -> str:
    counts = data["counts"].get("train", {})
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
    """As many classes as a person can read: those of the lowest F1 where there are more."""
    if len(rows) <= MOST_ROWS:
        return rows
    return sorted(rows, key=lambda row: 2.0 if row["f1"] is None else row["f1"])[:MOST_ROWS]


def _confused(evaluation: dict[str, Any]) -> list[str]:
    """Which classes are taken for which, where the matrix would be too large."""
    rows = [
        (row["class"], row["predicted"], row["images"]) for row in evaluation.get("confused", ())
    ]
    if not rows:
        return []
    return [
        "<h2>Most often taken for another</h2>"
        + table(("class", "taken for", "images"), rows[:MOST_CONFUSED])
    ]


def _examples(folder: pathlib.Path) -> list[str]:
    """Mistakes and doubts, with what the network looked at."""
    if not (folder / "examples.json").exists():
        return []
    told = json.loads((folder / "examples.json").read_text("utf-8"))
    parts = []
    for kind, title in (
        ("mistakes", "The most confident mistakes"),
        ("unsure", "The images it is least sure of"),
    ):
        entries = told.get(kind, [])
        if entries:
            shown = "".join(_example(folder, entry) for entry in entries)
            parts.append(f"<h2>{title}</h2><div class='gallery wide'>{shown}</div>")
    if parts:
        parts.append(
            "<p class=soft>Beside each picture, in warm colours, where the network saw the class that it "
            "named (Grad-CAM).</p>"
        )
    return parts


def _example(folder: pathlib.Path, entry: dict[str, Any]) -> str:
    from PIL import Image

    names = [entry["picture"], *([entry["heat"]] if "heat" in entry else [])]
    images = [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]
    right = entry["label"] == entry["predicted"]
    text = f"<b>{html.escape(entry['predicted'])}</b> {entry['probability']:.2f}"
    if entry["label"] and not right:
        own = entry.get("probability_of_label")
        text += f"; is {html.escape(entry['label'])}" + ("" if own is None else f" {own:.2f}")
    return figure(images, f"{text}<br>{html.escape(entry['image'])}", entry["image"])


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
    head = ("format", "same labels", "difference", name, "size", "images/s", "one image")
    return [
        "<h2>Exports, each asked for the same images in a process of its own</h2>"
        + table(head, rows)
    ]


def _how_to(folder: pathlib.Path, result: dict[str, Any]) -> list[str]:
    run = legible(folder.as_posix())
    typed = shlex.quote(run)
    lines = [
        f"tlkit predict {typed} PHOTOS",
        f"tlkit evaluate {typed} LABELLED_PHOTOS",
        f"tlkit reproduce {typed}      # the same recipe again, and what differs",
    ]
    code = [
        "import keras",
        f"model = keras.models.load_model({run + '/model.keras'!r})   # RGB in [0, 255] to probabilities",
        f"names = open({run + '/labels.txt'!r}).read().splitlines()",
    ]
    for export in result["export"].values():
        code += ["", "import tensorflow as tf", f"served = tf.saved_model.load({run + '/' + export['path']!r})",
                 "served.signatures['serve_bytes'](image_bytes=tf.constant([open('photo.jpg', 'rb').read()]))"]  # fmt: skip
        break
    shell, python = html.escape("\n".join(lines)), html.escape("\n".join(code))
    return [f"<h2>How to use and repeat it</h2><pre>{shell}</pre><pre>{python}</pre>"]
