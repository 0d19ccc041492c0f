"""The frozen part of a network, computed once for every image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.dataset import MEMORY_SHARE, Dataset, Split, free_memory
from tlkit.data.pipeline import batches
from tlkit.data.record import SplitName
from tlkit.features.cut import Cut
from tlkit.features.engine import choose_engine

FEATURE_BATCH = 64
# images on which an engine is compared with Keras
CHECKED = 32
# pixels below which making an engine takes longer than it saves: 256 images of 224 x 224
WORTH_AN_ENGINE = 256 * 224 * 224
USED: tuple[SplitName, ...] = ("train", "val")


def fits_in_memory(cut: Cut, dataset: Dataset) -> bool:
    """Whether the features of all images that training looks at can be kept."""
    return _count(dataset) * cut.bytes_per_image() < MEMORY_SHARE * free_memory()


def _count(dataset: Dataset) -> int:
    return sum(len(dataset.splits[name]) for name in USED)


def frozen_features(
    cut: Cut,
    dataset: Dataset,
    progress: Any = None,
    engine: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """The data set with what crosses the cut in the place of the images.

    Args:
        cut: Of the network.
        dataset: Images.
        progress: Makes a function `(done, total)` that shows how far a pass is.
        engine: Registered name of what computes; `auto` is the fastest there is.
        say: Is told which engine was taken, and why not another.
    """
    height, width = dataset.image_size
    if engine == "auto" and _count(dataset) * height * width < WORTH_AN_ENGINE:
        engine = "keras"
    first, _ = next(batches(dataset.train, dataset.prepare, CHECKED))
    chosen = choose_engine(cut.frozen, np.asarray(first), engine)
    for note in chosen.notes:
        say(note)
    say(f"features by engine {chosen}")
    splits: dict[SplitName, Split] = {}
    for name in USED:
        split = dataset.splits[name]
        show = progress(f"features of {name}, once") if progress else None
        arrays = [np.empty((len(split), *shape), np.float32) for shape in cut.shapes]
        done = 0
        for images, labels in batches(split, dataset.prepare, FEATURE_BATCH):
            for array, tensor in zip(arrays, chosen.run(images), strict=True):
                array[done : done + len(labels)] = tensor
            done += len(labels)
            if show is not None:
                show(done, len(split))
        splits[name] = dataclasses.replace(split, pixels=arrays)
    return dataclasses.replace(dataset, splits=splits)
