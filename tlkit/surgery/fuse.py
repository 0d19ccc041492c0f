"""Normalisation layers of a model made to run in the fast kernels, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tlkit.layers.fused_batch_normalization import (
    FusedBatchNormalization,
    batch_norm,
    can_fuse_batch,
)
from tlkit.layers.fused_group_normalization import (
    FusedGroupNormalization,
    can_fuse_group,
    group_norm,
)
from tlkit.surgery.clone import call_instead, clone_with

FUSED: dict[Any, Any] = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.GroupNormalization: FusedGroupNormalization,
}


def can_fuse(layer: Any) -> bool:
    """Whether there is a fast kernel for this normalisation layer."""
    return can_fuse_batch(layer) or can_fuse_group(layer)


def fuse(model: Any) -> Any:
    """A copy of a model whose BatchNorm and GroupNorm run in fast kernels; weights are kept.

    Keras names the groups of a `.weights.h5` by the layers' classes: load one before, and
    save that of `unfuse(model)`, to exchange it with a network of Keras's own layers.

    Args:
        model: A functional or sequential Keras model; nested ones are opened.
    """

    def replace(layer: Any) -> Any:
        fused = FUSED.get(type(layer))
        return fused.from_config(layer.get_config()) if fused and can_fuse(layer) else None

    return clone_with(model, replace)


def unfuse(model: Any) -> Any:
    """A copy of a model with Keras's own layers in the place of the fused ones."""

    def replace(layer: Any) -> Any:
        return layer.plain() if type(layer) in FUSED.values() else None

    return clone_with(model, replace)


def fuse_in_place(layer: Any, frozen: bool) -> Callable[[], None]:
    """Makes one normalisation layer call its fast kernel for the time of a stage.

    Args:
        layer: For which `can_fuse` is true.
        frozen: Of BatchNorm: ignore `training=True`, use and keep the moving statistics.

    Returns:
        A function that makes the layer as it was.
    """
    original = layer.call

    def batch(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training) and layer.trainable and not frozen
        return batch_norm(layer, original, inputs, training, mask)

    def group(inputs: Any) -> Any:
        return group_norm(layer, original, inputs)

    return call_instead(layer, batch if can_fuse_batch(layer) else group)
