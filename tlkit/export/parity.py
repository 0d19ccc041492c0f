"""Checks that an exported model answers as the evaluated one did, in a separate process."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.data.transcode import decodable
from tlkit.errors import RunFailed
from tlkit.export import runtimes
from tlkit.export.served import Proof, precision_of
from tlkit.recipe.schema import Component
from tlkit.tensors import Decoder

BATCH = 32
# largest difference of a probability: another runtime, or folded kernels, round otherwise
ALIKE = 1e-3
# a process in which only the runtime can be imported; its `load` comes before this
PROGRAM = """
import sys
import time
for name in BLOCKED:
    sys.modules[name] = None
path, given, answered = sys.argv[1:]
run = load(path)
inputs = np.load(given, allow_pickle=True)
answers = [run(batch) for batch in inputs]
one = inputs[0][:1]
run(one)
alone = []
for _ in range(10):
    start = time.perf_counter()
    run(one)
    alone.append(time.perf_counter() - start)
start, count = time.perf_counter(), 0
while time.perf_counter() - start < 0.5:
    run(inputs[0])
    count += len(inputs[0])
speed = count / (time.perf_counter() - start)
np.savez(answered, probabilities=np.concatenate(answers), milliseconds=1000 * np.median(alone),
         images_per_second=speed)
"""
HALF = 0.995  # share of labels on which 16-bit formats must agree


@dataclasses.dataclass(frozen=True)
class Parity:
    """Comparison of an exported model's answers with the evaluated ones.

    Attributes:
        images: Number of images that were sent.
        labels_equal: Whether all labels are the same, except for ties.
        agreement: Fraction of images with the same label.
        largest_difference: Largest difference of a probability.
        metric: Name of the task's metric.
        value: Value of the metric for the exported model, if labels are known.
        evaluated_value: Value of the metric for the model that was evaluated.
        megabytes: Size on disk.
        images_per_second: Throughput in batches of up to 32; includes decoding only if the model
            takes encoded files.
        milliseconds: Time for one image.
    """

    images: int
    labels_equal: bool
    agreement: float
    largest_difference: float
    metric: str
    value: float | None
    evaluated_value: float | None
    megabytes: float
    images_per_second: float
    milliseconds: float

    def as_json(self) -> dict[str, Any]:
        """Values for parity.json and result.json, where metric values have the metric's name."""
        found = dataclasses.asdict(self)
        name = found.pop("metric")
        found[name], found[f"evaluated_{name}"] = found.pop("value"), found.pop("evaluated_value")
        return found


def check_export(
    place: pathlib.Path, item: Component, proof: Proof, max_metric_drop: float = 0.02
) -> Parity:
    """Sends images to an exported model and compares its answers.

    Args:
        place: File, or folder of a SavedModel.
        item: Format and its arguments.
        proof: Expected answers.
        max_metric_drop: Largest drop of the task's metric allowed for int8.

    Raises:
        RunFailed: if a float32 model differs by more than rounding or in a label that is not a
            tie, a float16 model in more than 0.5 % of the labels, or an int8 model loses too
            much accuracy.
    """
    facts, task, split = registry.EXPORTS[item.name].facts, proof.task, proof.split
    inputs = _inputs(split, proof.prepare, facts.takes)
    served, speed, milliseconds = _served(place, facts.runtime, inputs)
    agreement = task.agreement(served, proof.answers, split.labels, ALIKE)
    found = Parity(
        images=len(split),
        metric=task.metric.name,
        labels_equal=agreement.same,
        agreement=agreement.share,
        largest_difference=agreement.difference,
        value=agreement.metric,
        evaluated_value=agreement.evaluated,
        megabytes=round(_size(place) / 1e6, 3),
        images_per_second=round(speed, 1),
        milliseconds=round(milliseconds, 2),
    )
    problem = _problem(found, precision_of(item), max_metric_drop)
    if problem:
        raise RunFailed(f"what it serves is not what was evaluated: {problem}", where=str(place))
    return found


def _problem(found: Parity, precision: str, drop: float) -> str | None:
    """Returns why an export fails the check; None if it passes."""
    if "int8" in precision:
        if found.value is None or found.evaluated_value is None:
            lost, what = 1 - found.agreement, "labels changed"
        else:
            lost, what = found.evaluated_value - found.value, f"{found.metric} lost"
        if lost > drop:
            return f"{what}: {100 * lost:.1f} points, allowed are {100 * drop:g} (max_metric_drop)"
        return None
    if precision == "float16":
        if found.agreement < HALF:
            return f"{100 * found.agreement:.1f} % of the labels agree, expected {100 * HALF:g} %"
        return None
    if found.largest_difference > ALIKE:
        return f"answers differ by up to {found.largest_difference:.2g} (allowed {ALIKE:g})"
    return None if found.labels_equal else "labels differ"


def _inputs(split: Split, prepare: Decoder, takes: str) -> np.ndarray:
    """Returns the batches as an array of lists, which can be stored in a file."""
    groups: list[list[Any]] = []
    if takes == "bytes":
        for first in range(0, len(split), BATCH):
            part = split.records[first : first + BATCH]
            groups.append([decodable(record.read()) for record in part])
    else:
        groups += [list(np.asarray(images)) for images, _ in batches(split, prepare, BATCH)]
    packed = np.empty(len(groups), object)
    packed[:] = groups
    return packed


def _served(
    place: pathlib.Path, runtime: str, inputs: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Returns another process's answers, its images per second, and milliseconds for one image."""
    with tempfile.TemporaryDirectory() as folder:
        given, answered = pathlib.Path(folder, "in.npy"), pathlib.Path(folder, "out.npz")
        np.save(given, inputs, allow_pickle=True)
        source = pathlib.Path(runtimes.__path__[0], f"{runtime}.py").read_text("utf-8")
        run = subprocess.run(
            [sys.executable, "-c", source + PROGRAM, str(place), str(given), str(answered)],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise RunFailed(
                f"cannot be run by {runtime} alone: {_last_error(run.stderr)}", where=str(place)
            )
        with np.load(answered) as file:
            return (
                file["probabilities"],
                float(file["images_per_second"]),
                float(file["milliseconds"]),
            )


def _last_error(stderr: str) -> str:
    """Returns the error at the end of a traceback, as one line."""
    lines = stderr.strip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    said = lines[frames[-1] + 1 :] if frames else lines[-1:]
    return " ".join(line.strip() for line in said if line[:1] not in (" ", ""))[:400]


def _size(place: pathlib.Path) -> int:
    """Returns the size of a model's own files in bytes."""
    if place.is_dir():
        return sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
    return sum(f.stat().st_size for f in place.parent.glob(f"{place.stem}.*"))
