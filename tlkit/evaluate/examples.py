"""Images worth looking at, saved with heat maps of what the network saw in them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.evaluate.grad_cam import grad_cam, overlay
from tlkit.model import Network
from tlkit.tensors import Decoder

MOST = 24
SIDE = 160  # width of the saved pictures, in pixels


def save_examples(
    network: Network, split: Split, prepare: Decoder, answers: np.ndarray, folder: pathlib.Path
) -> None:
    """Writes such images with their heat maps as JPEG files, and describes them in examples.json.

    Args:
        network: Network, whose task chooses the images.
        split: Split with the images.
        prepare: Decoder.
        answers: Outputs for the images.
        folder: Output folder; created if missing.
    """
    from PIL import Image

    chosen = network.task.examples(answers, split.labels, MOST)
    # an image may be an example twice, for two of its outputs
    examples = {(item.index, item.output): item for group in chosen.values() for item in group}
    places = sorted(examples)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[tuple[int, int], dict[str, Any]] = {}
    for start in range(0, len(places), 2 * MOST):
        part = places[start : start + 2 * MOST]
        images, _ = next(batches(split, prepare, len(part), np.array([i for i, _ in part])))
        pixels = np.asarray(images)
        heats = grad_cam(network.logits, pixels, np.array([output for _, output in part]))
        for row, (index, output) in enumerate(part):
            record = split.records[index]
            entry = {
                "image": record.name,
                "label": record.label,
                **examples[index, output].told,
                "picture": f"{index}.jpg",
            }
            shown = {f"{index}.jpg": pixels[row]}
            if heats is not None:
                entry["heat"] = f"{index}_{output}_cam.jpg"
                shown[entry["heat"]] = overlay(pixels[row], heats[row])
            for name, picture in shown.items():
                image = Image.fromarray(picture)
                image.thumbnail((SIDE, SIDE))
                image.save(folder / name, quality=85)
            written[index, output] = entry
    told = {
        kind: [written[item.index, item.output] for item in group] for kind, group in chosen.items()
    }
    (folder / "examples.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
