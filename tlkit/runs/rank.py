"""Ranking backbones for a data set by their features, without training."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.backbones import spec as specs
from tlkit.data.dataset import Dataset, Split, load_dataset, resized
from tlkit.data.pipeline import epoch_order
from tlkit.draft import source_of
from tlkit.errors import RunFailed, UserError, first_line
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.recipe.schema import Data
from tlkit.reporter import Reporter, Reporting, console_of

COMMON = ("mobilenet_v2", "efficientnet_v2_b0", "resnet50_v2", "convnext_tiny")


@dataclasses.dataclass
class BackboneScore:
    """The score of one backbone on one data set.

    Attributes:
        backbone: Name of the backbone.
        size: Side of the images, in pixels.
        features: Number of features per image.
        parameters: Parameters of the backbone.
        value: The task's metric of a linear head on held-out folds.
        error: Standard error of the value.
        metric: Name of the metric.
        log_me: Logarithm of maximum evidence, per image and class.
        images_per_second: Inference throughput, including decoding if images are not in memory.
        seconds: Total duration.
        problem: Why it could not be measured; the measurements are then empty.
    """

    backbone: str
    size: int = 0
    features: int = 0
    parameters: int = 0
    value: float | None = None
    error: float | None = None
    metric: str = ""
    log_me: float | None = None
    images_per_second: float | None = None
    seconds: float = 0.0
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The values, with `value` under the name of its metric."""
        found = dataclasses.asdict(self)
        return {found.pop("metric") or "value": found.pop("value"), **found}


@out_of_memory_is_told()
def rank(
    data: pathlib.Path,
    backbones: Sequence[str] = COMMON,
    *,
    image_size: int | None = None,
    images: int = 2000,
    weights: str = "auto",
    engine: str = "auto",
    seed: int = 0,
    console: Reporting = None,
) -> list[BackboneScore]:
    """Measures backbones on the training images of a data set, best first.

    Args:
        data: Folder of class folders, manifest or TFRecord file.
        backbones: Names, or `name=weights-file`.
        image_size: Side in pixels; by default, each backbone's own.
        images: Maximum number of images, sampled at random.
        weights: Weights for names without a file: `auto`, `imagenet`, `bundled` or `none`.
        engine: Inference backend for the features.
        seed: Seed of the sample and the folds.
        console: Where to report to.

    Raises:
        UserError: for an unknown backbone, or data that cannot be used.
        RunFailed: if no backbone could be measured.
    """
    from tlkit import steps

    wanted = [parse_backbone(item, weights) for item in backbones]
    steps.import_tensorflow()
    reporter = Reporter(console_of(console))
    config = Data(source=source_of(data))
    dataset: Dataset | None = None
    rows = []
    for name, file in wanted:
        side = image_size or own_size(name)
        if dataset is None:
            dataset = load_dataset(config, (side, side), reporter.progress("reading images"))
            for line in steps.describe_data(dataset):
                reporter.line(line)
            dataset = _sample(dataset, images, seed)
        elif dataset.image_size != (side, side):
            dataset = resized(dataset, config, (side, side))
        reporter.line(f"{name}: {len(dataset.train)} training images of {side} pixels ...")
        rows.append(_measure((name, file), dataset, engine, seed, reporter))
    if all(row.problem for row in rows):
        problems = "".join(f"\n    {row.backbone}: {row.problem}" for row in rows)
        raise RunFailed(f"no backbone could be measured:{problems}")
    return sorted(rows, key=lambda row: (row.problem is not None, -(row.value or 0)))


def parse_backbone(item: str, weights: str = "auto") -> tuple[str, str]:
    """Splits `name` or `name=file` into a name and its weights.

    Raises:
        UserError: if either does not exist.
    """
    name, _, file = item.partition("=")
    if not name.startswith("hub:") and name not in specs.names():
        raise UserError(specs.suggest(name))
    if file and not pathlib.Path(file).is_file():
        raise UserError("no such weights file", where=file)
    return name, file or weights


def own_size(name: str) -> int:
    """The image size that a backbone was pretrained on, in pixels."""
    return 224 if name.startswith("hub:") else specs.find(name).size


def _sample(dataset: Dataset, count: int, seed: int) -> Dataset:
    """A sample of the training images with enough of each output for folds, and no others.

    Raises:
        DataError: if there are too few.
    """
    train = dataset.train
    order = epoch_order(len(train), seed, 0)
    chosen = np.sort(dataset.task.sample(train.labels, order, count))
    pixels = None if train.pixels is None else train.pixels.take(chosen)
    part = Split(
        [train.records[i] for i in chosen],
        train.labels[chosen],
        [train.hashes[i] for i in chosen],
        pixels,
    )
    nothing = Split([], train.labels[:0], [])
    return dataclasses.replace(dataset, splits={"train": part, "val": nothing})


def _measure(
    wanted: tuple[str, str], dataset: Dataset, engine: str, seed: int, reporter: Reporter
) -> BackboneScore:
    """Computes a backbone's features, and measures how good they are."""
    from tlkit.embed import embed
    from tlkit.features.logme import log_me
    from tlkit.features.probe import linear_probe

    name, weights = wanted
    began, side = time.perf_counter(), dataset.image_size[0]
    try:
        found = embed(
            name,
            weights,
            dataset,
            dataset.train,
            engine=engine,
            reporter=reporter,
        )
    except UserError as error:
        reporter.detail(f"left out: {first_line(error)}")
        return BackboneScore(name, side, problem=first_line(error))
    if found is None:
        return BackboneScore(name, side, problem="its features fit neither on disk nor in memory")
    x, made, backbone = found
    task, labels = dataset.task, dataset.train.labels
    probe = linear_probe(task, x, labels, seed)
    return BackboneScore(
        backbone=name,
        size=side,
        features=x.shape[1],
        parameters=backbone.count_params(),
        value=round(probe.value, 4),
        metric=task.metric.name,
        error=round(probe.error, 4),
        log_me=round(log_me(x, np.asarray(task.targets(labels))), 4),
        images_per_second=made.images_per_second,
        seconds=round(time.perf_counter() - began, 1),
    )
