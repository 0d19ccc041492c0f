"""Which weights belong to one output unit, by the kind of layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


def unit_axes(layer: Any, variable: Any) -> list[int]:
    """The axes over which the weights of one unit lie.

    A unit is an output feature or channel. Its weights are a column of a dense
    kernel; a filter, over places and input channels, of a convolution; one channel's
    window of a depthwise kernel `(places, channels, multiplier)`; a transposed
    convolution's filter, whose kernel is `(places, outputs, inputs)`; what `EinsumDense` sums
    over; the vector of one id of an embedding.

    Args:
        layer: The layer that the variable is of; None where it has none.
        variable: A weight of it.

    Returns:
        Axes of the variable, for `keras.constraints.MaxNorm(axis=...)`.
    """
    layers, rank = keras.layers, len(variable.shape)
    if rank < 2:
        return list(range(rank))
    depthwise = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    if variable.name == "depthwise_kernel" or (
        isinstance(layer, depthwise) and variable.name == "kernel"
    ):
        return list(range(rank - 2))
    if isinstance(layer, transposed) and variable.name == "kernel":
        return [*range(rank - 2), rank - 1]
    if isinstance(layer, layers.EinsumDense) and variable.name == "kernel":
        inputs, output = layer.equation.replace(" ", "").split("->")
        kernel = inputs.split(",")[1]
        summed = [axis for axis, letter in enumerate(kernel) if letter not in output]
        return summed or list(range(rank - 1))
    if isinstance(layer, layers.Embedding) and variable.name == "embeddings":
        return [1]
    return list(range(rank - 1))


def owners(model: Any) -> dict[str, Any]:
    """The innermost layer that each variable of a model is of, by the variable's path."""
    found: dict[str, Any] = {}
    for layer in _inside(model):
        for v in layer.weights:
            found[v.path] = layer
    return found


def _inside(layer: Any) -> Iterable[Any]:
    """A layer and those inside it, outer ones first."""
    return layer._flatten_layers(include_self=True, recursive=True)
