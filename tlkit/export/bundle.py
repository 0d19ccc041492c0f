"""Files beside an exported model: labels, signature, model card, and data to verify ports."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.data.decode import TAKES
from tlkit.data.labels import labels_text
from tlkit.data.pipeline import batches
from tlkit.data.transcode import decodable
from tlkit.export.naming import IMAGE
from tlkit.export.parity import Parity
from tlkit.export.served import Proof, ServedModel, precision_of
from tlkit.recipe.schema import Component
from tlkit.tasks.base import Task

GOLDEN = 10  # images in the golden pack

ENDINGS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"RIFF", ".webp"),
)


def write_bundle(
    folder: pathlib.Path, place: pathlib.Path, item: Component, served: ServedModel, parity: Parity
) -> None:
    """Writes labels.txt, signature.json, parity.json, README.md and golden/.

    Args:
        folder: Folder of the format.
        place: Path of the model in it.
        item: Format and its arguments.
        served: Exported model.
        parity: Result of the parity check.
    """
    task, size, card = served.task, served.size, served.card
    takes = registry.EXPORTS[item.name].facts.takes
    precision = precision_of(item)
    answer = task.served[0].name
    (folder / "labels.txt").write_text(labels_text(task.outputs), "utf-8")
    (folder / "parity.json").write_text(json.dumps(parity.as_json(), indent=2) + "\n")
    image = {
        "name": IMAGE,
        "dtype": "uint8" if precision == "int8" and place.suffix == ".tflite" else "float32",
        "shape": [None, *size, 3],
        "range": [0, 255],
        "order": "RGB",
    }
    encoded = {"name": "image_bytes", "dtype": "string", "shape": [None], "formats": TAKES}
    height, width = size
    smooth = "smoothed before shrinking" if served.antialias else "without smoothing"
    signature = {
        "name": card["name"],
        "format": item.name,
        "precision": precision,
        "model": place.relative_to(folder).as_posix(),
        "inputs": [encoded if takes == "bytes" else image],
        "outputs": [{"name": answer, "dtype": "float32", "shape": [None, len(task.outputs)]}],
        "decoding": f"{served.how} to {height} x {width}, bilinear at half-pixel centres {smooth}",
        "resize": {"size": [height, width], "how": served.how, "antialias": served.antialias},
        "task": task.name,
        "settings": task.settings,
        "labels": task.outputs,
        "example": {"input": "golden/inputs.npy", "output": f"golden/{answer}.npy"},
    }
    (folder / "signature.json").write_text(
        json.dumps(signature, indent=2, ensure_ascii=False) + "\n"
    )
    text = _card(task, signature, parity, card)
    (folder / "README.md").write_text(text, "utf-8")
    _golden(folder / "golden", served.proof)


def _golden(folder: pathlib.Path, proof: Proof) -> None:
    """Writes images as files and as model input, with the expected answers."""
    task, split, answers = proof.task, proof.split, proof.answers
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chosen = np.unique(np.linspace(0, len(split) - 1, min(GOLDEN, len(split))).round().astype(int))
    images, _ = next(batches(split, proof.prepare, len(chosen), chosen))
    np.save(folder / "inputs.npy", np.asarray(images))
    answer = task.served[0].name
    np.save(folder / f"{answer}.npy", answers[chosen])
    told = []
    for row, index in enumerate(chosen):
        record = split.records[index]
        data = decodable(record.read(), "PNG")
        ending = next((e for start, e in ENDINGS if data.startswith(start)), ".bin")
        name = f"{row:02d}{ending}"
        (folder / name).write_bytes(data)
        told.append(
            {
                "file": name,
                "from": record.name,
                "label": record.label,
                "predicted": task.predicted(answers[index]),
                answer: [round(float(p), 7) for p in answers[index]],
            }
        )
    (folder / "golden.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    (folder / "check.py").write_text(task.port_check)


def _card(task: Task, signature: dict[str, Any], parity: Parity, card: dict[str, Any]) -> str:
    """Returns the text of the model card."""
    counts = ", ".join(f"{label} {count}" for label, count in list(card["counts"].items())[:30])
    metric = "" if parity.value is None else f", {parity.metric} {parity.value:.4f}"
    (given,), (got,) = signature["inputs"], signature["outputs"]
    return f"""# {card["name"]}

{task.about()}

| | |
|---|---|
| file | `{signature["model"]}`, {parity.megabytes:.1f} MB |
| takes | `{given["name"]}`, {given["dtype"]} {given["shape"]}{", RGB in [0, 255]" if "range" in given else f", encoded {TAKES}"} |
| gives | `{got["name"]}`, float32 {got["shape"]}, in the order of labels.txt |
| pixels | {signature["decoding"]}, upright by EXIF, rounded to whole levels |
| network | {card["backbone"]} |
| weights it began with | {card["licence"]} |
| trained on | {counts} images |
| evaluated | {card["evaluated"]} |
| this file | {parity.images} of the same images: {100 * parity.agreement:.1f} % of the answers the same, largest difference {parity.largest_difference:.1e}{metric}; {parity.images_per_second:g} images/s, {parity.milliseconds:g} ms for one |

{task.limits} Its figures
hold for images like those it was evaluated on. `golden/` holds images, the pixels made of them and
the expected answers; `python check.py MINE.npy` there compares those of a port.
"""
