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

from tlkit.data.dataset import Dataset
from tlkit.data.pipeline import batches, epoch_order, training_images
from tlkit.data.transcode import decodable
from tlkit.features.compute import image_count, place_for, worth_making
from tlkit.features.engine import choose_engine
from tlkit.freeze import FreezePlan, apply_plan
from tlkit.recipe.schema import Stage
from tlkit.regularizers.units import owners
from tlkit.tasks.base import Task
from tlkit.train.loop import augment_layers, make_objective, make_optimizer
from tlkit.train.plans import stage_cut, stage_views
from tlkit.train.regularize import regularize_stage
from tlkit.train.rescue import rescued
from tlkit.train.step import Step, apply_augmentations
from tlkit.train.training import Training, putting_back

LOOKED_AT = 128  # images
CHECK = 32  # images on which an engine is compared, and the least that is measured
REPEATS = 3


@dataclasses.dataclass
class StageTime:
    """What one stage will take.

    Attributes:
        once: Milliseconds an image, by part, of what is done once.
        every: The same of what every epoch does.
        seconds: Of the whole stage, validation included.
    """

    once: dict[str, float]
    every: dict[str, float]
    seconds: float

    def bottleneck(self, epochs: int) -> str:
        """The part that most of the time goes into."""
        total = {name: value * epochs for name, value in self.every.items()}
        for name, value in self.once.items():
            total[name] = total.get(name, 0.0) + value
        return max(total, key=total.__getitem__)


def profile_files(dataset: Dataset) -> dict[str, float]:
    """Milliseconds an image of reading and of decoding with resizing, on all cores."""
    records = dataset.train.records[:LOOKED_AT]
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        start = time.perf_counter()
        contents = list(pool.map(lambda record: record.read(), records))
        read = time.perf_counter() - start
        dataset.prepare(decodable(contents[0]))  # compiled now
        start = time.perf_counter()
        list(pool.map(lambda data: dataset.prepare(decodable(data)).numpy(), contents))
        decoded = time.perf_counter() - start
    return {"read": 1000 * read / len(records), "decode": 1000 * decoded / len(records)}


def profile_stage(
    training: Training, stage: Stage, plan: FreezePlan, files: dict[str, float]
) -> StageTime:
    """Measures one stage with its own batch size, augmentation and model.

    Nothing is saved; the weights are put back.

    Args:
        training: Of the run.
        stage: Completed with defaults, with an epoch at the least.
        plan: What trains.
        files: Milliseconds an image of reading and decoding.
    """
    assert stage.batch_size is not None and stage.epochs is not None
    network, dataset = training.network, training.dataset
    order = epoch_order(len(dataset.train), 0, 0)[: max(stage.batch_size, CHECK)]
    images, labels = next(batches(dataset.train, dataset.prepare, len(order), order))
    images = np.asarray(images)
    cut = stage_cut(stage, plan, network, training.config.adversarial, training.cache)
    views = stage_views(stage, training.cache) or 1
    if cut is not None and place_for(cut, dataset, training.cache, views)[0] is None:
        cut = None
    decoding = {} if dataset.train.pixels is not None else files
    once: dict[str, float] = {}
    every: dict[str, float] = {}
    augment = augment_layers(stage, training.seed, dataset.image_size, training_images(dataset))
    if augment:
        drawn = once if cut is not None else every
        drawn["augment"] = _milliseconds(_augmenter(dataset.task, augment), images)
    given: Any = images[: stage.batch_size]
    with contextlib.ExitStack() as undo:
        undo.callback(apply_plan(plan, network.model, network.blocks))
        undo.callback(putting_back(network.model.variables))
        model = network.logits
        if cut is not None:
            wanted = worth_making(training.engine, dataset, views)
            engine = choose_engine(cut.frozen, images[:CHECK], wanted)
            once |= decoding | {f"features by {engine.name}": _milliseconds(engine.run, images)}
            given, model = engine.run(given), cut.trained
        else:
            every |= decoding
        every["transfer"] = _milliseconds(_transfer, given)
        if stage.solver == "gradient":
            every["step"] = _milliseconds(
                _stepper(training, stage, plan, model, labels, undo), given
            )
    rows = image_count(dataset, views) if cut is not None else 0
    trained = stage.epochs * len(dataset.train)
    checked = stage.epochs * len(dataset.val)
    seconds = rows * sum(once.values()) + trained * sum(every.values())
    if cut is None and "step" in every:  # forward alone is about a third of a step
        seconds += checked * every["step"] / 3
    return StageTime(once, every, seconds / 1000)


def _milliseconds(run: Callable[[Any], Any], given: Any) -> float:
    """An image's share of a pass, the median of a few; the first compiles."""
    run(given)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(given)
        seconds.append(time.perf_counter() - start)
    count = len(given[0]) if isinstance(given, list) else len(given)
    return 1000 * float(np.median(seconds)) / count


def _augmenter(task: Task, layers: list[Any]) -> Callable[[Any], Any]:
    import tensorflow as tf

    @tf.function
    def run(images: Any) -> Any:
        targets = task.blank_targets(tf.shape(images)[0])
        return apply_augmentations(layers, tf.cast(images, tf.float32), targets)

    return lambda images: run(images)[0].numpy()


def _transfer(given: Any) -> Any:
    import tensorflow as tf

    return tf.nest.map_structure(lambda x: tf.identity(tf.convert_to_tensor(x)), given)


def _stepper(
    training: Training,
    stage: Stage,
    plan: FreezePlan,
    model: Any,
    labels: np.ndarray,
    undo: contextlib.ExitStack,
) -> Callable[[Any], Any]:
    """A training step on a batch, as the loop takes it, but without augmentation."""
    by_path = {v.path: v for v in training.network.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    regularization = regularize_stage(
        training.regularize,
        variables,
        training.start,
        training.seed,
        owners(training.network.model),
    )
    undo.callback(regularization.take_off)
    optimizer = make_optimizer(stage, plan, training.network, regularization.variables)
    optimizer.build(variables + regularization.variables)
    adversarial, network = training.config.adversarial, training.network
    parts = None
    if adversarial is not None and adversarial.on == "features":
        parts = (network.extractor, network.head_logits)
    objective = make_objective(training, regularization, parts)
    step = Step(model, objective, [], optimizer, variables, None)

    def run(given: Any) -> Any:
        count = len(given[0]) if isinstance(given, list) else len(given)
        taken = rescued(step, given, labels[:count], training, stage, plan)
        return [float(value) for value in taken]

    return run


def describe_files(files: dict[str, float]) -> list[str]:
    """Reading and decoding as lines for a person."""
    return ["\nprofile, milliseconds an image:"] + [_line(*item) for item in files.items()]


def describe_time(time: StageTime, epochs: int) -> list[str]:
    """A stage's parts, its whole, and what to look at, as lines for a person."""
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
    """What would make the bottleneck wider."""
    if name in ("read", "decode"):
        return ": store the images smaller, or let data.cache keep them in memory"
    if name == "augment":
        return ": a slow augmentation less, or augment_on: pipeline where there is a GPU"
    if name.startswith("features"):
        return ", which is done once and kept"
    if name == "step":
        return ": a smaller image_size or backbone, or fewer blocks that train, would be faster"
    return ""
