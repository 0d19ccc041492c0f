"""Adaptive gradient clipping: the limit for a gradient depends on the norm of its weights."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tlkit.tensors import Tensor


def adaptive_clip(
    gradient: Tensor,
    weight: Tensor,
    clipping: float,
    least: float = 1e-3,
    axes: Sequence[int] | None = None,
) -> Tensor:
    """Limits the norm of each unit's gradient to a fraction of the norm of its weights.

    The result is G_i (clipping max(||W_i||, least) / ||G_i||) where
    ||G_i|| / max(||W_i||, least) > clipping, else G_i; i runs over the output units.
    (Brock et al. 2021, "High-Performance Large-Scale Image Recognition Without
    Normalization", equation 3.)

    Args:
        gradient: Gradient of the weight, of the same shape.
        weight: Kernel or other variable.
        clipping: Largest ratio of the two norms, positive.
        least: Lower bound for the norm of the weights; smaller norms are replaced by it.
        axes: Axes over which the weights of one unit extend, as `unit_axes` returns them
            for a layer. None: derived from the shape. The last axis then counts the
            units; for a depthwise kernel `(height, width, channels, 1)` the last two do.
    """
    ops = keras.ops
    gradient, weight = ops.convert_to_tensor(gradient), ops.convert_to_tensor(weight)
    over = tuple(_axes_by_shape(tuple(weight.shape)) if axes is None else axes)

    def length(x: Tensor) -> Tensor:
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
