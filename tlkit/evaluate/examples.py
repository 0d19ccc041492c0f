"""Images worth looking at: confident mistakes, and those the network is least sure of."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.evaluate.grad_cam import grad_cam, overlay

MOST = 24
SIDE = 160  # pixels of the saved pictures


def choose_examples(
    probabilities: np.ndarray, labels: np.ndarray, most: int = MOST
) -> dict[str, list[int]]:
    """Positions of the most confident mistakes and of the least sure images, the worst first.

    Args:
        probabilities: `(n, classes)`.
        labels: Class ids `(n,)`, -1 where unknown.
        most: Of each kind.
    """
    best = probabilities.max(1)
    wrong = np.flatnonzero((probabilities.argmax(1) != labels) & (labels >= 0))
    mistakes = wrong[np.argsort(-best[wrong], kind="stable")][:most]
    unsure = np.argsort(best, kind="stable")[:most]
    return {"mistakes": mistakes.tolist(), "unsure": unsure.tolist()}


def save_examples(
    logits: Any,
    split: Split,
    prepare: Any,
    probabilities: np.ndarray,
    classes: Sequence[str],
    folder: pathlib.Path,
) -> None:
    """Writes such images with their heat maps as JPEG files, and examples.json about them.

    Args:
        logits: The network, images to logits.
        split: Images.
        prepare: The decoder.
        probabilities: Of the images.
        classes: Names.
        folder: To write to; made if it is not there.
    """
    from PIL import Image

    chosen = choose_examples(probabilities, split.labels)
    places = sorted({index for group in chosen.values() for index in group})
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[int, dict[str, Any]] = {}
    for start in range(0, len(places), 2 * MOST):
        part = np.array(places[start : start + 2 * MOST])
        images, _ = next(batches(split, prepare, len(part), part))
        pixels = np.asarray(images)
        guesses = probabilities[part].argmax(1)
        heats = grad_cam(logits, pixels, guesses)
        for row, index in enumerate(part):
            entry = {
                "image": split.records[index].name,
                "label": split.records[index].label,
                "predicted": classes[guesses[row]],
                "probability": round(float(probabilities[index].max()), 4),
                "picture": f"{index}.jpg",
            }
            if split.labels[index] >= 0:
                own = float(probabilities[index, split.labels[index]])
                entry["probability_of_label"] = round(own, 4)
            shown = {f"{index}.jpg": pixels[row]}
            if heats is not None:
                entry["heat"] = f"{index}_cam.jpg"
                shown[entry["heat"]] = overlay(pixels[row], heats[row])
            for name, picture in shown.items():
                image = Image.fromarray(picture)
                image.thumbnail((SIDE, SIDE))
                image.save(folder / name, quality=85)
            written[int(index)] = entry
    told = {kind: [written[index] for index in group] for kind, group in chosen.items()}
    (folder / "examples.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
