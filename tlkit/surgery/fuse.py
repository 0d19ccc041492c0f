"""Switches a model's normalisation layers to fast kernels, and back."""

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
from tlkit.tensors import KerasLayer, KerasModel, Tensor

FUSED: dict[Any, Any] = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.GroupNormalization: FusedGroupNormalization,
}


def can_fuse(layer: KerasLayer) -> bool:
    """Returns whether there is a fast kernel for this normalisation layer."""
    return can_fuse_batch(layer) or can_fuse_group(layer)


def fuse(model: KerasModel) -> KerasModel:
    """Copies a model so that BatchNorm and GroupNorm run in fast kernels; weights are kept.

    Keras names the groups of a `.weights.h5` file after the layers' classes. To exchange such
    files with a network of Keras's own layers, load them before fusing, and save those of
    `unfuse(model)`.

    Args:
        model: Functional or sequential Keras model; nested models are processed too.
    """

    def replace(layer: KerasLayer) -> Any:
        fused = FUSED.get(type(layer))
        return fused.from_config(layer.get_config()) if fused and can_fuse(layer) else None

    return clone_with(model, replace)


def unfuse(model: KerasModel) -> KerasModel:
    """Returns a copy of a model with Keras's own layers instead of the fused ones."""

    def replace(layer: KerasLayer) -> Any:
        return layer.plain() if type(layer) in FUSED.values() else None

    return clone_with(model, replace)


def fuse_in_place(layer: KerasLayer, frozen: bool) -> Callable[[], None]:
    """Makes one normalisation layer call its fast kernel for the duration of a stage.

    Args:
        layer: Layer for which `can_fuse` is true.
        frozen: Whether BatchNorm ignores `training=True`: it uses the moving statistics and does
            not update them.

    Returns:
        A function that restores the layer.
    """
    original = layer.call

    def batch(inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        training = bool(training) and layer.trainable and not frozen
        return batch_norm(layer, original, inputs, training, mask)

    def group(inputs: Tensor) -> Tensor:
        return group_norm(layer, original, inputs)

    return call_instead(layer, batch if can_fuse_batch(layer) else group)
