"""Adaptive gradient clipping: a gradient is long only beside its weight."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import keras


def adaptive_clip(gradient: Any, weight: Any, clipping: float, least: float = 1e-3) -> Any:
    """Limits each unit's gradient to a share of the length of its weights.

    G_i (clipping max(||W_i||, least) / ||G_i||) where ||G_i|| / max(||W_i||, least) >
    clipping, else G_i; i runs over the output units. (Brock et al. 2021,
    "High-Performance Large-Scale Image Recognition Without Normalization",
    equation 3.)

    Args:
        gradient: Of the weight, same shape.
        weight: The last axis counts the units, for a depthwise kernel `(height,
            width, channels, 1)` the last two.
        clipping: Largest share, positive.
        least: Lengths of weights below this count as this.
    """
    ops = keras.ops
    rank = len(weight.shape)
    axes = tuple(range(rank - 1)) if rank > 1 else None
    if rank == 4 and weight.shape[-1] == 1:
        axes = (0, 1)

    def length(x: Any) -> Any:
        return ops.sqrt(ops.sum(ops.square(x), axis=axes, keepdims=axes is not None))

    limit = clipping * ops.maximum(length(ops.convert_to_tensor(weight)), least)
    long = ops.maximum(length(gradient), 1e-6)
    return gradient * ops.minimum(limit / long, 1.0)


def with_adaptive_clipping(
    optimizer: Any, clipping: float = 0.01, exclude: Iterable[str] = ()
) -> Any:
    """Makes a Keras optimizer clip gradients adaptively before anything else is done to them.

    Args:
        optimizer: Changed in place.
        clipping: Largest share of a gradient's length in that of its weights; 0.01
            for batches of thousands, up to 0.1 for small ones.
        exclude: Regular expressions on the paths of variables left alone; the
            paper leaves out the last layer.

    Returns:
        The same optimizer.

    Raises:
        ValueError: if `clipping` is not positive.
    """
    if clipping <= 0:
        raise ValueError(f"clipping must be positive, got {clipping!r}")
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    patterns = [re.compile(pattern) for pattern in exclude]
    apply = inner.apply

    def clipped_apply(grads: Any, trainable_variables: Any = None) -> Any:
        variables = trainable_variables or inner._trainable_variables
        clipped = [
            gradient
            if gradient is None or any(p.search(variable.path) for p in patterns)
            else adaptive_clip(gradient, variable, clipping)
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        return apply(clipped, trainable_variables)

    inner.apply = clipped_apply
    return optimizer
