"""Recomputes BatchNorm's moving statistics from given images."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.surgery.calibrate import axis_of, check_images, in_batches, moments
from tlkit.surgery.clone import clone_with
from tlkit.surgery.walk import walk
from tlkit.tensors import KerasLayer, KerasModel, Tensor


def recalibrate_batch_norm(model: KerasModel, images: Tensor, batch_size: int = 32) -> KerasModel:
    """Returns a copy of a model with the BatchNorm statistics of given images.

    The statistics are the exact mean and variance over all images and positions, not
    an exponential average. They are computed layer by layer from the input on, so that
    each layer sees the outputs of the layers before it with their new statistics.
    (Li et al. 2016, "Revisiting Batch Normalization For Practical Domain Adaptation",
    algorithm 1.) A layer that is used more than once gets the statistics of its first
    use.

    Args:
        model: Functional or sequential Keras model; nested models are processed too.
        images: Images as the model takes them, `(count, ...)`. Their activations are held in
            memory.
        batch_size: Images per batch.

    Raises:
        ValueError: if there are no images, they do not fit the model, or there is no BatchNorm
            layer.
    """
    images = check_images(model, images)
    copy = clone_with(model, lambda layer: None)
    done = set()

    def measure(layer: KerasLayer, inputs: list[Any]) -> None:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.name not in done:
            done.add(layer.name)
            mean, variance = moments(inputs, axis_of(layer))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)

    walk(copy, in_batches(images, batch_size), measure)
    if not done:
        raise ValueError(f"{model.name!r} has no BatchNorm layer")
    return copy
