"""Adaptive gradient clipping: a gradient is long only beside its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def adaptive_clip(
    gradient: Any,
    weight: Any,
    clipping: float,
    least: float = 1e-3,
    axes: Sequence[int] | None = None,
) -> Any:
    """Limits each unit's gradient to a share of the length of its weights.

    G_i (clipping max(||W_i||, least) / ||G_i||) where ||G_i|| / max(||W_i||, least) >
    clipping, else G_i; i runs over the output units. (Brock et al. 2021,
    "High-Performance Large-Scale Image Recognition Without Normalization",
    equation 3.)

    Args:
        gradient: Of the weight, same shape.
        weight: Its kernel or other variable.
        clipping: Largest share, positive.
        least: Lengths of weights below this count as this.
        axes: Over which the weights of one unit lie, as `unit_axes` gives them for a
            layer. Without, by the shape: the last axis counts the units, for a
            depthwise kernel `(height, width, channels, 1)` the last two.
    """
    ops = keras.ops
    gradient, weight = ops.convert_to_tensor(gradient), ops.convert_to_tensor(weight)
    over = tuple(_axes_by_shape(tuple(weight.shape)) if axes is None else axes)

    def length(x: Any) -> Any:
        x = ops.cast(x, "float32")
        return ops.sqrt(ops.sum(ops.square(x), axis=over, keepdims=True))

    limit = clipping * ops.maximum(length(weight), least)
    share = ops.minimum(limit / ops.maximum(length(gradient), 1e-6), 1.0)
    return gradient * ops.cast(share, gradient.dtype)


def _axes_by_shape(shape: tuple[int, ...]) -> range:
    rank = len(shape)
    if rank == 4 and shape[-1] == 1:
        return range(2)
    return range(rank - 1) if rank > 1 else range(rank)
