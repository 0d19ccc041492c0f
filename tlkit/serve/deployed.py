"""Loads an export and checks that it answers as it was evaluated."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tlkit import registry
from tlkit.data.decode import make_preparer, resize
from tlkit.data.transcode import decodable
from tlkit.errors import RunFailed, UserError
from tlkit.export.parity import ALIKE
from tlkit.runs.folder import silenced
from tlkit.serve.find import read_signature
from tlkit.tasks.base import Task
from tlkit.tasks.find import make_task


@dataclasses.dataclass
class DeployedModel:
    """A loaded model.

    Attributes:
        name: Model name in URLs.
        version: Model version in URLs.
        format: Export format.
        task: Task of the model.
        size: Input height and width in pixels.
        prepare: Maps the bytes of a file to pixels.
        fit: Resizes pixels of any size to `size`.
        run: Maps pixels, uint8 or float32, to the task's answers.
        features: Maps files to the head's input vectors; None if the export cannot.
        explain: Maps files to heat maps of their labels; None if the export cannot.
    """

    name: str
    version: str
    format: str
    task: Task
    size: tuple[int, int]
    prepare: Callable[[bytes], Any]
    fit: Callable[[Any], Any]
    run: Callable[[np.ndarray], np.ndarray]
    features: Callable[[list[bytes]], np.ndarray] | None
    explain: Callable[[list[bytes]], np.ndarray] | None

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return self.task.outputs


def load_export(folder: pathlib.Path, name: str | None = None) -> DeployedModel:
    """Loads an export in its own runtime.

    Args:
        folder: Export folder with signature.json.
        name: Model name in URLs; the recipe's name by default.

    Raises:
        RunError: if the export is damaged.
        UserError: if its runtime is not installed.
        RunFailed: if its runtime cannot load it.
    """
    from tlkit.export.write import missing

    signature: dict[str, Any] = read_signature(folder)
    form = signature["format"]
    if command := missing(form):
        raise UserError(
            f"{form} is not installed", where=str(folder), hint=f"Install it: {command}"
        )
    size, how, antialias = (signature["resize"][key] for key in ("size", "how", "antialias"))
    runtime = importlib.import_module(
        f"tlkit.export.runtimes.{registry.EXPORTS[form].facts.runtime}"
    )
    place = folder / signature["model"]
    try:
        with silenced(1, 2):  # runtimes print messages of their own
            run = runtime.load(str(place))
    # each runtime raises its own exception types
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise RunFailed(f"cannot be loaded: {text}", where=str(place)) from error
    signatures = getattr(run, "signatures", {})

    def asked(name: str, output: str) -> Callable[[list[bytes]], np.ndarray] | None:
        if name not in signatures:
            return None

        def ask(files: list[bytes]) -> np.ndarray:
            given = tf.constant([decodable(data) for data in files])
            return np.asarray(signatures[name](image_bytes=given)[output])

        return ask

    return DeployedModel(
        name=name or signature["name"],
        version=place.name if place.name.isdigit() else "1",
        format=folder.name,
        task=make_task(
            signature.get("task", "classification"), signature["labels"], signature.get("settings")
        ),
        size=(size[0], size[1]),
        prepare=make_preparer((size[0], size[1]), how, antialias),
        fit=lambda image: resize(image, (size[0], size[1]), how, antialias),
        run=run,
        features=asked("features", "features"),
        explain=asked("explain", "heat"),
    )


def prove(deployed: DeployedModel, folder: pathlib.Path) -> tuple[int, float] | None:
    """Runs a loaded export on its golden pack, which also warms it up.

    Returns:
        The number of images and the largest difference of an answer; None without a golden pack.

    Raises:
        RunFailed: if it does not answer as it was evaluated.
    """
    golden = folder / "golden"
    if not (golden / "golden.json").is_file():
        return None
    rows = json.loads((golden / "golden.json").read_text("utf-8"))
    pixels = np.stack(
        [np.asarray(deployed.prepare((golden / row["file"]).read_bytes())) for row in rows]
    )
    expected = np.load(golden / f"{deployed.task.served[0].name}.npy")
    with silenced(1, 2):  # LiteRT prints messages at its first images
        answers = deployed.run(pixels)
    labels = deployed.task.unknown(len(rows))
    difference = deployed.task.agreement(answers, expected, labels, ALIKE).difference
    exact = read_signature(folder)["precision"] == "float32"
    if not np.array_equal(pixels, np.load(golden / "inputs.npy")):
        raise RunFailed("its golden pictures decode to other pixels here", where=str(golden))
    if exact and not difference <= ALIKE:
        raise RunFailed(
            f"does not answer as it was evaluated: answers differ by {difference:.2g}",
            where=str(golden),
        )
    return len(rows), difference
