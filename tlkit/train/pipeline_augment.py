"""Augmentation on the CPU, ahead of the training step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tlkit.tasks.base import Task
from tlkit.tensors import Tensor
from tlkit.train.step import apply_augmentations


def seed_states(layers: Sequence[Any]) -> list[Any]:
    """The variables that determine the next random numbers of the layers."""
    return [v for layer in layers for v in layer.variables if "seed_generator" in v.path]


def make_draw(layers: Sequence[Any], seed: int) -> Callable[[Any, str], Any]:
    """A function from uint8 images and a seed text to augmented uint8 images.

    Args:
        layers: Keras layers, in order; none of them mixes images.
        seed: Seed of the run.
    """
    states = seed_states(layers)

    @tf.function(reduce_retracing=True)
    def run(images: Tensor) -> Any:
        targets = tf.zeros((tf.shape(images)[0], 1))
        moved, _ = apply_augmentations(layers, tf.cast(images, tf.float32), targets)
        return tf.cast(tf.round(moved), tf.uint8)

    def draw(images: Tensor, decides: str) -> Any:
        digest = hashlib.sha256(f"{seed} {decides}".encode()).digest()
        numbers = np.random.default_rng(list(digest)).integers(2**31, size=(len(states), 2))
        for state, number in zip(states, numbers, strict=True):
            state.assign(number.astype(np.uint32))
        return run(images)

    return draw


def augmented(
    batches: Iterable[tuple[Any, np.ndarray]],
    layers: Sequence[Any],
    task: Task,
    place: tuple[int, int, int],
) -> Iterator[tuple[Any, Any]]:
    """Augments batches in tf.data while the previous step is computed.

    The random numbers of a batch depend only on its place in the run, not on how far
    ahead the pipeline is, so that a resumed run repeats them.

    Args:
        batches: Images `(n, height, width, 3)` and labels `(n, ...)`.
        layers: Keras layers, in order.
        task: Task.
        place: Seed of the run, epoch, and index of the first batch.

    Yields:
        float32 images, and targets `(n, outputs)`.
    """
    seed, epoch, first = place
    states = seed_states(layers)
    keys = np.array(
        [
            np.random.default_rng((seed, epoch, index)).integers(2**31, size=2)
            for index in range(len(states))
        ],
        np.uint32,
    )

    def numbered() -> Iterator[tuple[int, Any, Any]]:
        for number, (images, labels) in enumerate(batches, first):
            yield number, np.asarray(images), labels

    def augment(number: Any, images: Tensor, labels: Tensor) -> tuple[Any, Any]:
        for state, key in zip(states, keys, strict=True):
            # a layer draws a few numbers per batch; the seeds of batches are 4096 apart
            state.assign(tf.stack([key[0], key[1] + tf.cast(number, tf.uint32) * 4096]))
        return apply_augmentations(layers, tf.cast(images, tf.float32), task.targets(labels))

    iterator = numbered()
    head = next(iterator)

    def again() -> Iterator[tuple[int, Any, Any]]:
        yield head
        yield from iterator

    signature = (
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((None, *head[1].shape[1:]), head[1].dtype),
        tf.TensorSpec((None, *head[2].shape[1:]), head[2].dtype),
    )
    dataset = tf.data.Dataset.from_generator(again, output_signature=signature)
    yield from dataset.map(augment).prefetch(2)
