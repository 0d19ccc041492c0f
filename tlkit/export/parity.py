"""Proves that what is served equals what was evaluated, in a process of its own."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.data.transcode import decodable
from tlkit.errors import RunFailed
from tlkit.export import runtimes
from tlkit.tasks.base import Task

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
    """What an exported model answers, beside what was evaluated.

    Attributes:
        images: That were sent.
        labels_equal: Whether all labels are the same but for ties.
        agreement: Share of images with the same label.
        largest_difference: Of a probability.
        metric: Name of the task's metric.
        value: Its value for the exported model, where labels are known.
        evaluated_value: For the model that was evaluated.
        megabytes: On disk.
        images_per_second: In batches of up to 32, without decoding but where it takes files.
        milliseconds: For one image.
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
        """For parity.json and result.json, where values are called as their metric."""
        found = dataclasses.asdict(self)
        name = found.pop("metric")
        found[name], found[f"evaluated_{name}"] = found.pop("value"), found.pop("evaluated_value")
        return found


def check_export(
    place: pathlib.Path,
    runtime: str,
    takes: str,
    task: Task,
    split: Split,
    prepare: Callable[[bytes], Any],
    expected: np.ndarray,
    precision: str = "float32",
    max_accuracy_drop: float = 0.02,
) -> Parity:
    """Sends the images of a split to an exported model and compares its answers.

    Args:
        place: The file, or the folder of a SavedModel.
        runtime: What runs it, the name of a file in `tlkit.export.runtimes`.
        takes: `bytes` for encoded files, else pixels.
        task: What is answered.
        split: The images that were evaluated.
        prepare: The decoder.
        expected: What evaluation found for them, `(n, outputs)`.
        precision: `float32`, `float16`, or what has int8 in its name.
        max_accuracy_drop: Accuracy that int8 may lose.

    Raises:
        RunFailed: if float32 differs by more than rounding or in a label that is no tie, float16 in
            more than 0.5 % of the labels, or int8 loses too much accuracy.
    """
    served, speed, milliseconds = _served(place, runtime, _inputs(split, prepare, takes))
    agreement = task.agreement(served, expected, split.labels, ALIKE)
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
    problem = _problem(found, precision, max_accuracy_drop)
    if problem:
        raise RunFailed(f"what it serves is not what was evaluated: {problem}", where=str(place))
    return found


def _problem(found: Parity, precision: str, drop: float) -> str | None:
    """Why an export is no good."""
    if "int8" in precision:
        if found.value is None or found.evaluated_value is None:
            lost, what = 1 - found.agreement, "labels changed"
        else:
            lost, what = found.evaluated_value - found.value, f"{found.metric} lost"
        if lost > drop:
            return (
                f"{what}: {100 * lost:.1f} points, allowed are {100 * drop:g} (max_accuracy_drop)"
            )
        return None
    if precision == "float16":
        if found.agreement < HALF:
            return f"{100 * found.agreement:.1f} % of the labels agree, expected {100 * HALF:g} %"
        return None
    if found.largest_difference > ALIKE:
        return f"answers differ by up to {found.largest_difference:.2g} (allowed {ALIKE:g})"
    return None if found.labels_equal else "labels differ"


def _inputs(split: Split, prepare: Any, takes: str) -> np.ndarray:
    """Batches as an array of lists, which a file can hold."""
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
    """What another process answers, its images a second, and milliseconds for one."""
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
    """The error that a traceback ends with, in a line."""
    lines = stderr.strip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    said = lines[frames[-1] + 1 :] if frames else lines[-1:]
    return " ".join(line.strip() for line in said if line[:1] not in (" ", ""))[:400]


def _size(place: pathlib.Path) -> int:
    """Bytes of a model's own files."""
    if place.is_dir():
        return sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
    return sum(f.stat().st_size for f in place.parent.glob(f"{place.stem}.*"))
