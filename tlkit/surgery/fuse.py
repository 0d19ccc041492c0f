"""BatchNorm layers of a model made to run in the fused kernel, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tlkit.layers.fused_batch_normalization import (
    FusedBatchNormalization,
    can_fuse,
    fused_batch_norm,
)
from tlkit.surgery.clone import clone_with


def fuse(model: Any) -> Any:
    """A copy of a model whose BatchNorm layers use the fused kernel; weights are kept.

    Args:
        model: A functional or sequential Keras model; nested ones are opened.
    """

    def replace(layer: Any) -> Any:
        if type(layer) is keras.layers.BatchNormalization and can_fuse(layer):
            return FusedBatchNormalization.from_config(layer.get_config())
        return None

    return clone_with(model, replace)


def unfuse(model: Any) -> Any:
    """A copy of a model with Keras's own BatchNorm in the place of the fused one."""

    def replace(layer: Any) -> Any:
        return layer.plain() if isinstance(layer, FusedBatchNormalization) else None

    return clone_with(model, replace)


def fuse_in_place(layer: Any, frozen: bool) -> Callable[[], None]:
    """Makes one BatchNorm layer call the fused kernel for the time of a stage.

    Args:
        layer: For which `can_fuse` is true.
        frozen: Ignore `training=True`: use and keep the moving statistics.

    Returns:
        A function that makes the layer as it was.
    """
    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training) and layer.trainable and not frozen
        if mask is not None:
            return original(inputs, training=training, mask=mask)
        return fused_batch_norm(layer, inputs, training)

    layer.call = call

    def release() -> None:
        del layer.call

    return release
