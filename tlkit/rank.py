"""Which backbone suits a data set, measured on its features and without training."""

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

COMMON = ("mobilenet_v2", "efficientnet_v2_b0", "resnet50_v2", "convnext_tiny")


@dataclasses.dataclass
class Ranked:
    """One backbone on one data set.

    Attributes:
        backbone: Its name.
        size: Side of the images, in pixels.
        features: Numbers that it gives for an image.
        parameters: Of the backbone.
        value: Of the task's metric, of a linear head on held-out folds.
        error: Standard error of the value.
        metric: What it is called.
        log_me: Logarithm of maximum evidence, per image and class.
        images_per_second: Of the pass, decoding included where images are not in memory.
        seconds: For all of it.
        problem: Why it could not be measured; all else is empty then.
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
        """With the value called as its metric."""
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
    console: Any = None,
) -> list[Ranked]:
    """Measures backbones on the training images of a data set, best first.

    Args:
        data: A folder of class folders, a manifest or a TFRecord file.
        backbones: Names, or `name=weights-file`.
        image_size: Side in pixels; each backbone's own if not given.
        images: Most that are looked at, drawn at random.
        weights: Where a name has no file: `auto`, `imagenet`, `bundled` or `none`.
        engine: What computes the features.
        seed: Of the draw and the folds.
        console: Where to report to.

    Raises:
        UserError: for an unknown backbone, or data that cannot be used.
        RunFailed: if none could be measured.
    """
    from tlkit import steps

    wanted = [parse_backbone(item, weights) for item in backbones]
    steps.import_tensorflow()
    say = steps.Speaker(console)
    config = Data(source=source_of(data))
    dataset: Dataset | None = None
    rows = []
    for name, file in wanted:
        side = image_size or own_size(name)
        if dataset is None:
            dataset = load_dataset(config, (side, side), say.progress("reading images"))
            for line in steps.describe_data(dataset):
                say.line(line)
            dataset = _sample(dataset, images, seed)
        elif dataset.image_size != (side, side):
            dataset = resized(dataset, config, (side, side))
        say.line(f"{name}: {len(dataset.train)} training images of {side} pixels ...")
        rows.append(_measure(name, file, dataset, engine, seed, say))
    if all(row.problem for row in rows):
        problems = "".join(f"\n    {row.backbone}: {row.problem}" for row in rows)
        raise RunFailed(f"no backbone could be measured:{problems}")
    return sorted(rows, key=lambda row: (row.problem is not None, -(row.value or 0)))


def parse_backbone(item: str, weights: str = "auto") -> tuple[str, str]:
    """`name` or `name=file` as a name and its weights.

    Raises:
        UserError: if either is not there.
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
    """Some of the training images, as many of each output as folds need, and no others.

    Raises:
        DataError: if there are not so many.
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


def _measure(name: str, weights: str, dataset: Dataset, engine: str, seed: int, say: Any) -> Ranked:
    """One pass of a backbone, and what its features are worth."""
    from tlkit.embed import embed
    from tlkit.features.logme import log_me
    from tlkit.features.probe import linear_probe

    began = time.perf_counter()
    side = dataset.image_size[0]
    try:
        found = embed(
            name,
            weights,
            dataset,
            dataset.train,
            engine,
            say.progress,
            lambda line: say.line(f"  {line}"),
        )
    except UserError as error:
        say.line(f"  left out: {first_line(error)}")
        return Ranked(name, side, problem=first_line(error))
    if found is None:
        return Ranked(name, side, problem="its features fit neither on disk nor in memory")
    x, made, backbone = found
    task, labels = dataset.task, dataset.train.labels
    probe = linear_probe(task, x, labels, seed)
    return Ranked(
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
