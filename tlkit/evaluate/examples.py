"""Images worth looking at, saved with what the network saw in them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.evaluate.grad_cam import grad_cam, overlay
from tlkit.tasks.base import Task

MOST = 24
SIDE = 160  # pixels of the saved pictures


def save_examples(
    task: Task, logits: Any, split: Split, prepare: Any, answers: np.ndarray, folder: pathlib.Path
) -> None:
    """Writes such images with their heat maps as JPEG files, and examples.json about them.

    Args:
        task: Chooses them.
        logits: The network, images to logits.
        split: Images.
        prepare: The decoder.
        answers: Of the images.
        folder: To write to; made if it is not there.
    """
    from PIL import Image

    chosen = task.examples(answers, split.labels, MOST)
    examples = {item.index: item for group in chosen.values() for item in group}
    places = sorted(examples)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, dict[str, Any]] = {}
    for start in range(0, len(places), 2 * MOST):
        part = places[start : start + 2 * MOST]
        images, _ = next(batches(split, prepare, len(part), np.array(part)))
        pixels = np.asarray(images)
        heats = grad_cam(logits, pixels, np.array([examples[index].output for index in part]))
        for row, index in enumerate(part):
            record = split.records[index]
            entry = {
                "image": record.name,
                "label": record.label,
                **examples[index].told,
                "picture": f"{index}.jpg",
            }
            shown = {f"{index}.jpg": pixels[row]}
            if heats is not None:
                entry["heat"] = f"{index}_cam.jpg"
                shown[entry["heat"]] = overlay(pixels[row], heats[row])
            for name, picture in shown.items():
                image = Image.fromarray(picture)
                image.thumbnail((SIDE, SIDE))
                image.save(folder / name, quality=85)
            written[index] = entry
    told = {kind: [written[item.index] for item in group] for kind, group in chosen.items()}
    (folder / "examples.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
