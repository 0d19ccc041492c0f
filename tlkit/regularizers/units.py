"""Determines which weights belong to one output unit, by the type of layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from tlkit.tensors import KerasLayer, KerasModel, KerasVariable


def unit_axes(layer: KerasLayer, variable: KerasVariable) -> list[int]:
    """The axes of a variable over which the weights of one unit lie.

    A unit is an output feature or channel. Its weights are:

    - dense kernel: a column
    - convolution: a filter, over positions and input channels
    - depthwise kernel `(positions, channels, multiplier)`: one channel's window
    - transposed convolution, whose kernel is `(positions, outputs, inputs)`: a filter
    - `EinsumDense`: what it sums over
    - embedding: the vector of one id

    Args:
        layer: The layer that the variable belongs to; None if it belongs to none.
        variable: A weight of that layer.

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


def owners(model: KerasModel) -> dict[str, Any]:
    """The innermost layer that each variable of a model belongs to, by the variable's path."""
    found: dict[str, Any] = {}
    for layer in _inside(model):
        for v in layer.weights:
            found[v.path] = layer
    return found


def _inside(layer: KerasLayer) -> Iterable[KerasLayer]:
    """A layer and all layers inside it, outer ones first."""
    found: Iterable[KerasLayer] = layer._flatten_layers(include_self=True, recursive=True)
    return found
