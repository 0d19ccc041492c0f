"""Sets new normalisation layers so that their outputs match those of the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit.surgery.walk import walk
from tlkit.tensors import KerasLayer, KerasModel, Tensor

# of Adam, when the new layers are trained towards the old features
RATE = 1e-3


class Moments:
    """Mean and variance of each channel over batches, accumulated in float64.

    Args:
        axis: Axis of the channels.
    """

    def __init__(self, axis: int):
        self.axis, self.count = axis, 0
        self.center: Any = None
        self.total: Any = 0.0
        self.squares: Any = 0.0

    def add(self, values: Any) -> None:
        """Adds one batch."""
        values = np.moveaxis(np.asarray(values), self.axis, -1)
        rows = values.reshape(-1, values.shape[-1])
        # distances from a first guess: a large mean cancels nothing
        if self.center is None:
            self.center = rows.mean(0, dtype="float64").astype(rows.dtype)
        rows = rows - self.center
        self.count += len(rows)
        self.total = self.total + rows.sum(0, dtype="float64")
        self.squares = self.squares + np.square(rows).sum(0, dtype="float64")

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the biased variance, `(channels,)`."""
        shift = self.total / self.count
        return self.center + shift, np.maximum(self.squares / self.count - shift**2, 0.0)


def in_batches(images: Tensor, size: int) -> list[Any]:
    """Splits images into batches of `size`."""
    return [images[first : first + size] for first in range(0, len(images), size)]


def moments(batches: Sequence[Any], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the biased variance of each channel over all batches."""
    found = Moments(axis)
    for batch in batches:
        found.add(batch)
    return found.result()


def check_images(model: KerasModel, given: Tensor) -> np.ndarray:
    """Returns the images as model input; raises a ValueError that says what does not fit."""
    images = np.asarray(given, "float32")
    if not len(images):
        raise ValueError("there are no images to calibrate with")
    wanted = tuple(model.inputs[0].shape)[1:]
    fits = images.ndim == len(wanted) + 1 and all(
        w in (None, own) for w, own in zip(wanted, images.shape[1:], strict=True)
    )
    if len(model.inputs) != 1 or not fits:
        raise ValueError(
            f"images of shape {images.shape[1:]} do not fit the model, which takes {wanted}"
        )
    return images


def agreement(old: Sequence[Any], new: Sequence[Any]) -> float:
    """Correlation of the pooled outputs of two networks over the images, averaged over channels."""

    def pooled(batches: Sequence[Any]) -> np.ndarray:
        rows = [np.asarray(batch, "float64") for batch in batches]
        return np.concatenate([row.reshape(len(row), -1, row.shape[-1]).mean(1) for row in rows])

    a, b = (values - values.mean(0) for values in (pooled(old), pooled(new)))
    lengths = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    alive = (a**2).sum(0) > 0
    return float(((a * b).sum(0) / np.maximum(lengths, 1e-12))[alive].mean())


def calibrate_norms(
    old: KerasModel, new: KerasModel, names: set[str], batches: Sequence[Any]
) -> float:
    """Sets gamma and beta of new normalisation layers to match the old ones' outputs.

    For every channel, let m and s be the mean and standard deviation of the old layer's
    output over all images and positions, and m' and s' those of the new layer's output
    before its scale. Then gamma = sign(old gamma) s / s', beta = m - gamma m'. Layers are
    set in order, starting at the input, with the inputs that they get in the new network,
    so that each compensates for the errors before it. The moving statistics of BatchNorm
    are computed from the images as well.

    Args:
        old: Original model.
        new: Copy with the new layers; it is modified.
        names: Names of the new layers.
        batches: Batches of images.

    Returns:
        How well the outputs agree, as computed by `agreement`.
    """
    wanted: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def collect(layer: KerasLayer, outputs: list[Any]) -> None:
        if layer.name in names and layer.name not in wanted:
            wanted[layer.name] = moments(outputs, axis_of(layer))

    done = set()

    def fit(layer: KerasLayer, inputs: list[Any]) -> None:
        if layer.name not in wanted or layer.name in done:
            return
        done.add(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = moments(inputs, axis_of(layer))
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
        sign = np.where(np.asarray(layer.gamma) < 0, -1.0, 1.0)
        layer.gamma.assign(np.ones(layer.gamma.shape))
        layer.beta.assign(np.zeros(layer.beta.shape))
        normalized = Moments(axis_of(layer))
        for batch in inputs:
            normalized.add(layer(batch))
        mean, variance = normalized.result()
        old_mean, old_variance = wanted[layer.name]
        # epsilon keeps a channel that is almost constant from being blown up
        gamma = sign * np.sqrt(old_variance / (variance + layer.epsilon))
        layer.gamma.assign(gamma)
        layer.beta.assign(old_mean - gamma * mean)

    before = walk(old, batches, after=collect)
    return agreement(before, walk(new, batches, before=fit))


def axis_of(layer: KerasLayer) -> int:
    """Returns the channel axis of a normalisation layer."""
    return layer.axis if isinstance(layer.axis, int) else layer.axis[0]


def distill_norms(
    old: KerasModel,
    new: KerasModel,
    names: set[str],
    images: np.ndarray,
    *,
    steps: int,
    batch_size: int,
) -> float:
    """Trains the new normalisation layers to reproduce the features of the old network.

    The loss is the squared difference of the two networks' outputs, divided in each
    channel by the variance of the old one. Adam, with a learning rate that falls from
    1e-3 to zero along a cosine, updates only gamma and beta, on the images and their
    mirror images. If the features agree less afterwards, the layers are restored.

    Args:
        old: Original model.
        new: Copy with the new layers; it is modified.
        names: Names of the new layers.
        images: A few hundred images.
        steps: Number of training steps.
        batch_size: Images per step.

    Returns:
        How well the outputs agree, as computed by `agreement`.
    """

    def find(model: KerasModel) -> list[Any]:
        found = []
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                found += find(layer)
            elif layer.name in names:
                found.append(layer)
        return found

    # of frozen layers too: they are to answer as the frozen ones before them did
    variables = [v for layer in find(new) for v in (layer.gamma, layer.beta)]
    values_of = [v.value for v in variables]
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)

    @tf.function
    def step(batch: Any) -> Any:
        target = old(batch, training=False)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values_of)
            output = new(batch, training=False)
            places = list(range(len(target.shape) - 1))
            variance = tf.math.reduce_variance(target, places) + 1e-3
            loss = tf.reduce_mean(tf.math.squared_difference(output, target) / variance)
        optimizer.apply_gradients(zip(tape.gradient(loss, values_of), variables, strict=True))
        return loss

    batches = in_batches(images, batch_size)
    wanted = [old(batch, training=False) for batch in batches]

    def reached() -> float:
        return agreement(wanted, [new(batch, training=False) for batch in batches])

    before, values = reached(), [np.array(v) for v in variables]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        chosen = images[rng.choice(len(images), min(batch_size, len(images)), replace=False)]
        step(chosen[:, :, ::-1] if rng.random() < 0.5 else chosen)
    after = reached()
    if after < before:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    return max(before, after)
