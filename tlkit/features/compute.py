"""The frozen part of a network, computed once for every image."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tlkit.data.dataset import MEMORY_SHARE, Dataset, Split, free_memory
from tlkit.data.pipeline import batches
from tlkit.data.record import SplitName
from tlkit.features.cut import Cut

FEATURE_BATCH = 64
USED: tuple[SplitName, ...] = ("train", "val")


def fits_in_memory(cut: Cut, dataset: Dataset) -> bool:
    """Whether the features of all images that training looks at can be kept."""
    images = sum(len(dataset.splits[name]) for name in USED)
    return images * cut.bytes_per_image() < MEMORY_SHARE * free_memory()


def frozen_features(cut: Cut, dataset: Dataset, progress: Any = None) -> Dataset:
    """The data set with what crosses the cut in the place of the images.

    Args:
        cut: Of the network.
        dataset: Images.
        progress: Makes a function `(done, total)` that shows how far a pass is.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        tensors = cut.frozen(tf.cast(images, tf.float32), training=False)
        # a model of one output gives no list
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(tensors)]

    splits: dict[SplitName, Split] = {}
    for name in USED:
        split = dataset.splits[name]
        show = progress(f"features of {name}, once") if progress else None
        arrays = [np.empty((len(split), *shape), np.float32) for shape in cut.shapes]
        done = 0
        for images, labels in batches(split, dataset.prepare, FEATURE_BATCH):
            for array, tensor in zip(arrays, forward(images), strict=True):
                array[done : done + len(labels)] = tensor
            done += len(labels)
            if show is not None:
                show(done, len(split))
        splits[name] = dataclasses.replace(split, pixels=arrays)
    return dataclasses.replace(dataset, splits=splits)
