"""report.html: one file that shows what a run did and how well."""

from __future__ import annotations

import base64
import html
import pathlib
from typing import Any

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.sub { color: #57606a; margin: 0 0 1.5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; }
.tile { border: 1px solid #d0d7de; border-radius: .5rem; padding: .6rem 1rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.5rem; } .tile span { color: #57606a; font-size: .85rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem; text-align: right;
       border-bottom: 1px solid #eaeef2; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } th { color: #57606a; font-weight: 600; }
.scroll { overflow-x: auto; } img { max-width: 100%; height: auto; }
pre { background: #f6f8fa; padding: 1rem; border-radius: .5rem; overflow-x: auto; font-size: .85rem; }
.note { background: #fff8c5; border: 1px solid #d4a72c66; border-radius: .5rem; padding: .5rem 1rem; }
"""


def write_report(
    folder: pathlib.Path, result: dict[str, Any], data: dict[str, Any]
) -> pathlib.Path:
    """Writes report.html from what lies in a run folder.

    Args:
        folder: The run, with recipe.yaml and plots/.
        result: result.json, with the evaluation under `evaluation`.
        data: data.json.
    """
    name = html.escape(result["name"])
    evaluation = result["evaluation"]
    parts = [
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{name} - tlkit report</title>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{name}</h1><p class=sub>{html.escape(result['backbone'])}, "
        f"{result['parameters']:,} parameters, "
        f"{result['image_size'][0]} x {result['image_size'][1]} pixels, seed {result['seed']}</p>",
        _tiles(result, evaluation),
    ]
    notes = [
        *data.get("notes", []),
        *(f"skipped {b['name']}: {b['reason']}" for b in data["broken"]),
    ]
    if notes:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in notes[:50])
        parts.append(f"<h2>Worth knowing</h2><div class=note><ul>{items}</ul></div>")
    for title, file in (
        ("Curves", "curves.png"),
        ("Confusion matrix", "confusion_matrix.png"),
        ("Images as the network gets them", "train_images.png"),
    ):
        picture = folder / "plots" / file
        if picture.exists():
            parts.append(f"<h2>{title}</h2>{_picture(picture, title)}")
    if result["stages"]:
        parts.append("<h2>Stages</h2>" + _stages(result["stages"]))
    if "per_class" in evaluation:
        parts.append("<h2>Classes</h2>" + _classes(evaluation["per_class"], data))
    recipe = folder / "recipe.yaml"
    parts.append(
        f"<h2>Recipe</h2><pre>{html.escape(recipe.read_text('utf-8'))}</pre></body></html>"
    )
    target = folder / "report.html"
    target.write_text("\n".join(parts), "utf-8")
    return target


def _tiles(result: dict[str, Any], evaluation: dict[str, Any]) -> str:
    split = html.escape(result["evaluated"])
    tiles = []
    for key, title in (
        ("accuracy", f"accuracy on {split}"),
        ("balanced_accuracy", "balanced accuracy"),
        ("macro_f1", "macro F1"),
        ("top_5_accuracy", "top-5 accuracy"),
    ):
        if key in evaluation:
            tiles.append((f"{100 * evaluation[key]:.1f} %", title))
    tiles.append((f"{evaluation['images']:,}", f"images in {split}"))
    tiles.append((f"{result['seconds']['total']:.0f} s", "in all"))
    return (
        "<div class=tiles>"
        + "".join(
            f"<div class=tile><b>{value}</b><span>{title}</span></div>" for value, title in tiles
        )
        + "</div>"
    )


def _picture(path: pathlib.Path, title: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<div class=scroll><img alt='{title}' src='data:image/png;base64,{data}'></div>"


def _stages(stages: list[dict[str, Any]]) -> str:
    head = (
        "stage",
        "policy",
        "epochs",
        "best epoch",
        "val loss",
        "val accuracy",
        "images/s",
        "time",
    )
    rows = []
    for stage in stages:
        metrics = stage["metrics"]
        speed = stage["images_per_second"]
        rows.append(
            (
                stage["name"],
                stage["policy"],
                stage["epochs"],
                stage["best_epoch"] or "before",
                f"{metrics['val_loss']:.4f}" if "val_loss" in metrics else "-",
                f"{metrics['val_accuracy']:.4f}" if "val_accuracy" in metrics else "-",
                f"{speed:.0f}" if speed else "-",
                f"{stage['seconds']:.1f} s",
            )
        )
    return _table(head, rows)


def _classes(table: list[dict[str, Any]], data: dict[str, Any]) -> str:
    counts = data["counts"].get("train", {})
    rows = [
        (
            row["class"],
            counts.get(row["class"], "-"),
            row["images"],
            *(
                "-" if row[key] is None else f"{row[key]:.3f}"
                for key in ("precision", "recall", "f1")
            ),
        )
        for row in table
        if row["images"] or counts.get(row["class"])
    ]
    return _table(("class", "train images", "images", "precision", "recall", "F1"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><tr>{titles}</tr>{body}</table></div>"
