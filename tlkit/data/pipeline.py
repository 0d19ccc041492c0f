"""Batches of images in an order that depends only on seed and epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tlkit.data.dataset import CHANGED, Dataset, Split, on_all_cores
from tlkit.data.transcode import decodable
from tlkit.errors import DataError
from tlkit.tensors import Decoder

Batch = tuple[Any, np.ndarray]
FIT_BATCH = 64


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch's images, the same in every process.

    Args:
        count: Number of images.
        seed: Seed of the run.
        epoch: Epoch, counted across all stages.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def batches(
    split: Split, prepare: Decoder, batch_size: int, order: np.ndarray | None = None, start: int = 0
) -> Iterator[Batch]:
    """Yields `(uint8 images [n, height, width, 3], class ids [n])`, or features instead of images.

    Args:
        split: Split with the images.
        prepare: The decoder, for images that are not in memory.
        batch_size: Images per batch; the last batch may be smaller.
        order: Indices into the split; by default the order of the split.
        start: First batch to yield, to resume within an epoch.
    """
    order = np.arange(len(split)) if order is None else order
    order = order[start * batch_size :]
    if split.pixels is not None:
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            if isinstance(split.pixels, list):
                yield [features[chosen] for features in split.pixels], split.labels[chosen]
            else:
                yield split.pixels[chosen], split.labels[chosen]
        return
    yield from _streamed(split, prepare, batch_size, order)


def training_images(dataset: Dataset) -> Callable[[], Iterator[Any]]:
    """A function that returns new batches of the training images, for steps fitted to them."""
    return lambda: (images for images, _ in batches(dataset.train, dataset.prepare, FIT_BATCH))


def some_images(dataset: Dataset, seed: int, count: int) -> np.ndarray:
    """Random uint8 training images, the same for the same seed."""
    order = epoch_order(len(dataset.train), seed, 0)[:count]
    given = batches(dataset.train, dataset.prepare, FIT_BATCH, order)
    return np.concatenate([np.asarray(images) for images, _ in given])


def _streamed(
    split: Split, prepare: Decoder, batch_size: int, order: np.ndarray
) -> Iterator[Batch]:
    """Reads and decodes ahead of the training step, on all cores."""
    import tensorflow as tf

    gone: list[str] = []

    def read(index: Any) -> bytes:
        record = split.records[int(index)]
        try:
            contents = record.read()
        except OSError as error:
            reason = error.strerror or error
            gone.append(f"could be read at first, and no longer: {record.name}: {reason}")
            raise
        if hashlib.sha256(contents).hexdigest() != split.hashes[int(index)]:
            # its features would be cached as those of the original file
            gone.append(f"{record.name} {CHANGED}")
            raise ValueError(CHANGED)
        return decodable(contents)

    def load(index: Any) -> tuple[Any, Any]:
        contents = tf.numpy_function(read, [index], tf.string, stateful=False)
        contents.set_shape(())
        return prepare(contents), index

    dataset = (
        tf.data.Dataset.from_tensor_slices(order)
        .map(load, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
    try:
        for images, indices in on_all_cores(dataset):
            yield images, split.labels[indices.numpy()]
    except tf.errors.OpError:
        if not gone:
            raise
        raise DataError(
            f"{gone[0]}.", hint="Leave the files alone while a run lasts, and start it again."
        ) from None
