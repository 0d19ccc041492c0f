"""Where the time of a stage goes, measured on a few images."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order, training_images
from tlkit.data.transcode import decodable
from tlkit.features.compute import image_count, worth_making
from tlkit.features.engine import choose_engine
from tlkit.tasks.base import Task
from tlkit.tensors import KerasLayer, Tensor
from tlkit.train.context import RunContext
from tlkit.train.plans import PlannedStage, stage_views
from tlkit.train.putting_back import putting_back
from tlkit.train.rescue import rescued
from tlkit.train.stage_setup import StageSetup, augment_layers, set_up_stage
from tlkit.train.step import StepValues, apply_augmentations, read_values

LOOKED_AT = 128  # number of images
CHECK = 32  # images for comparing an engine, and the least to measure on
REPEATS = 3


@dataclasses.dataclass
class StageTime:
    """Estimated time of one stage.

    Attributes:
        once: Milliseconds per image of work done once, by part.
        every: Milliseconds per image of work done in every epoch, by part.
        seconds: Seconds of the whole stage, including validation.
    """

    once: dict[str, float]
    every: dict[str, float]
    seconds: float

    def bottleneck(self, epochs: int) -> str:
        """The part that takes the most time."""
        total = {name: value * epochs for name, value in self.every.items()}
        for name, value in self.once.items():
            total[name] = total.get(name, 0.0) + value
        return max(total, key=total.__getitem__)


def profile_files(dataset: Dataset) -> dict[str, float]:
    """Milliseconds per image for reading, and for decoding and resizing, on all cores."""
    records = dataset.train.records[:LOOKED_AT]
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        start = time.perf_counter()
        contents = list(pool.map(lambda record: record.read(), records))
        read = time.perf_counter() - start
        dataset.prepare(decodable(contents[0]))  # compile before measuring
        start = time.perf_counter()
        list(pool.map(lambda data: dataset.prepare(decodable(data)).numpy(), contents))
        decoded = time.perf_counter() - start
    return {"read": 1000 * read / len(records), "decode": 1000 * decoded / len(records)}


def profile_stage(context: RunContext, planned: PlannedStage, files: dict[str, float]) -> StageTime:
    """Measures one stage with its own batch size, augmentation and model.

    Nothing is saved, and the weights are restored.

    Args:
        context: Context shared by all stages.
        planned: The stage, with at least one epoch, and what it trains.
        files: Milliseconds per image for reading and decoding.
    """
    stage, dataset, network = planned.stage, context.dataset, context.network
    assert stage.batch_size is not None and stage.epochs is not None
    order = epoch_order(len(dataset.train), 0, 0)[: max(stage.batch_size, CHECK)]
    images, labels = next(batches(dataset.train, dataset.prepare, len(order), order))
    images = np.asarray(images)
    views = stage_views(stage, context.recipe.cache) or 1
    decoding = {} if dataset.train.pixels is not None else files
    once: dict[str, float] = {}
    every: dict[str, float] = {}
    augment = augment_layers(stage, context.seed, dataset.image_size, training_images(dataset))
    given: Any = images[: stage.batch_size]
    with contextlib.ExitStack() as undo:
        undo.callback(putting_back(network.model.variables))
        setup = set_up_stage(context, planned, undo, apart=True)
        cut = setup.cut
        if augment:
            drawn = once if cut is not None else every
            drawn["augment"] = _milliseconds(_augmenter(dataset.task, augment), images)
        if cut is not None:
            wanted = worth_making(context.recipe.engine, dataset, views)
            engine = choose_engine(cut.frozen, images[:CHECK], wanted)
            once |= decoding | {f"features by {engine.name}": _milliseconds(engine.run, images)}
            given = engine.run(given)
        else:
            every |= decoding
        every["transfer"] = _milliseconds(_transfer, given)
        if stage.solver == "gradient":
            every["step"] = _milliseconds(_stepper(context, setup, labels), given)
    rows = image_count(dataset, views) if cut is not None else 0
    trained = stage.epochs * len(dataset.train)
    checked = stage.epochs * len(dataset.val)
    seconds = rows * sum(once.values()) + trained * sum(every.values())
    if cut is None and "step" in every:  # inference takes about a third of a step
        seconds += checked * every["step"] / 3
    return StageTime(once, every, seconds / 1000)


def _milliseconds(run: Callable[[Any], Any], given: Tensor) -> float:
    """Median milliseconds per image over a few calls, after one that compiles."""
    run(given)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(given)
        seconds.append(time.perf_counter() - start)
    count = len(given[0]) if isinstance(given, list) else len(given)
    return 1000 * float(np.median(seconds)) / count


def _augmenter(task: Task, layers: list[KerasLayer]) -> Callable[[Any], Any]:
    @tf.function
    def run(images: Tensor) -> Any:
        targets = task.blank_targets(tf.shape(images)[0])
        return apply_augmentations(layers, tf.cast(images, tf.float32), targets)

    return lambda images: run(images)[0].numpy()


def _transfer(given: Tensor) -> Any:
    return tf.nest.map_structure(lambda x: tf.identity(tf.convert_to_tensor(x)), given)


def _stepper(
    context: RunContext, setup: StageSetup, labels: np.ndarray
) -> Callable[[Any], StepValues]:
    """A training step on a batch, as in the loop, but without augmentation."""

    def run(given: Tensor) -> StepValues:
        count = len(given[0]) if isinstance(given, list) else len(given)
        return read_values(rescued(setup, given, labels[:count], context))

    return run


def describe_files(files: dict[str, float]) -> list[str]:
    """Reading and decoding times as lines of text."""
    return ["\nprofile, milliseconds an image:"] + [_line(*item) for item in files.items()]


def describe_time(time: StageTime, epochs: int) -> list[str]:
    """Times by part, the total, and advice, as lines of text."""
    lines = [_line(name, value, "once") for name, value in time.once.items()]
    lines += [_line(name, value, f"x {epochs} epochs") for name, value in time.every.items()]
    name = time.bottleneck(epochs)
    return [
        *lines,
        f"  about {_duration(time.seconds)}; most of it goes into {name}{_advice(name)}",
    ]


def _line(name: str, value: float, often: str = "") -> str:
    return (
        f"  {name:<28} {value:9.3f} ms {1000 / max(value, 1e-6):12,.0f} images/s  {often}".rstrip()
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _advice(name: str) -> str:
    """How to reduce the bottleneck."""
    if name in ("read", "decode"):
        return ": store the images smaller, or let data.cache keep them in memory"
    if name == "augment":
        return ": a slow augmentation less, or augment_on: pipeline where there is a GPU"
    if name.startswith("features"):
        return ", which is done once and kept"
    if name == "step":
        return ": a smaller image_size or backbone, or fewer blocks that train, would be faster"
    return ""
