"""Inserts layers into a loaded network: in its residual branches, after a layer, or at its end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from tlkit.errors import did_you_mean
from tlkit.own_things import short_name
from tlkit.registry import LAYERS
from tlkit.surgery.clone import keep_flag, keep_frozen
from tlkit.tensors import KerasLayer, KerasModel


@dataclasses.dataclass(frozen=True)
class Insertion:
    """One layer to insert.

    Attributes:
        name: Registered name of the layer.
        arguments: Arguments of the layer.
        after: Name of the layer to insert it after; None for its usual position.
    """

    name: str
    arguments: dict[str, Any]
    after: str | None = None


def insert_layers(model: KerasModel, insertions: Sequence[Insertion]) -> tuple[Any, list[Any]]:
    """Inserts layers into a functional model that was built without them.

    `stochastic_depth` is inserted into every residual branch, with rates by the
    linear rule; if the network already has such a layer, such as EfficientNet's
    `drop` layers, the rate of that layer is set instead. `weight_standardization`
    replaces every convolution. Any other layer is inserted after the layer named
    `after`, or at the end. The new model shares the layers of the given model.

    Args:
        model: Functional Keras model with one output.
        insertions: Layers to insert, in this order.

    Returns:
        The new model, and those new layers that are neither part of a residual
        branch nor a replaced convolution.

    Raises:
        ValueError: if there is no such layer, no residual branch or no convolution.
    """
    new: list[Any] = []
    for number, item in enumerate(insertions):
        if item.name == "stochastic_depth":
            model = _into_branches(model, item)
        elif item.name == "weight_standardization":
            model = _standardize_weights(model, item)
        else:
            model, layer = _after(model, item, f"inserted_{number}_{short_name(item.name)}")
            new.append(layer)
    return model, new


def _rebuilt(model: KerasModel, call: Any, replace: Any = lambda layer: layer) -> KerasModel:
    """Rebuilds the model from its layers, with custom calls or replacements, frozen as before."""
    rebuilt = keras.models.clone_model(model, clone_function=replace, call_function=call)
    keep_flag(model, rebuilt)
    return rebuilt


def _after(model: KerasModel, item: Insertion, name: str) -> tuple[Any, Any]:
    """Inserts one layer after another."""
    names = [layer.name for layer in model.layers]
    if item.after is not None and item.after not in names:
        raise ValueError(
            f"insert {item.name}: the backbone has no layer {item.after!r}. "
            + did_you_mean(item.after, names)
        )
    after = item.after or model.output._keras_history.operation.name
    channels = model.get_layer(after).output.shape[-1]
    entry = LAYERS[item.name]
    layer = entry.call({"units": channels}, **item.arguments)
    layer.name = name

    def call(old: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = old(*args, **kwargs)
        if old.name != after:
            return outputs
        with entry.tells_its_errors():
            return layer(outputs)

    return _rebuilt(model, call), layer


def residual_branches(model: KerasModel) -> list[Any]:
    """Returns the last layer of each residual branch, from the input on.

    Where two tensors are added, the residual branch is the deeper one: it has more
    layers between itself and the image than the skip connection has.
    """
    depth: dict[int, int] = {}

    def depth_of(tensor: Any) -> int:
        if id(tensor) not in depth:
            history = tensor._keras_history
            node = history.operation._inbound_nodes[history.node_index]
            depth[id(tensor)] = 1 + max(
                (depth_of(value) for value in node.input_tensors), default=-1
            )
        return depth[id(tensor)]

    found = []
    for operation in model.operations:
        # ConvNeXt adds with `+`, which is an operation, not a layer
        if type(operation).__name__ != "Add":
            continue
        tensors = operation._inbound_nodes[-1].input_tensors
        if len(tensors) == 2 and len(tensors[0].shape) == 4:
            deepest = max(tensors, key=depth_of)
            found.append((depth_of(deepest), deepest._keras_history.operation))
    return [layer for _, layer in sorted(found, key=lambda pair: pair[0])]


def _into_branches(model: KerasModel, item: Insertion) -> KerasModel:
    """Inserts stochastic depth, by the linear rule, into every residual branch."""
    from tlkit.layers.stochastic_depth import StochasticDepth, linear_rates

    branches = residual_branches(model)
    if not branches:
        raise ValueError(f"insert {item.name}: the backbone {model.name!r} has no residual branch")
    rates = linear_rates(item.arguments.get("rate", 0.1), len(branches))
    drops: dict[str, Any] = {}
    for last, rate in zip(branches, rates, strict=True):
        if isinstance(last, keras.layers.Dropout) and last.noise_shape:
            # EfficientNet has stochastic depth already, as dropout of whole images
            last.rate = rate
        else:
            drops[last.name] = StochasticDepth(rate=rate, name=f"{last.name}_stochastic_depth")

    def call(layer: KerasLayer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        return drops[layer.name](outputs) if layer.name in drops else outputs

    return _rebuilt(model, call) if drops else model


def _standardize_weights(model: KerasModel, item: Insertion) -> KerasModel:
    """Replaces plain convolutions by weight-standardised ones."""
    from tlkit.layers.weight_standardization import WeightStandardizedConv2D

    replaced: list[tuple[Any, Any]] = []

    def replace(layer: KerasLayer) -> Any:
        # one entry for each output channel has no variance
        if type(layer) is not keras.layers.Conv2D or math.prod(layer.kernel.shape[:3]) < 2:
            return layer
        new = WeightStandardizedConv2D.from_config({**layer.get_config(), **item.arguments})
        replaced.append((layer, new))
        return new

    rebuilt = _rebuilt(model, lambda layer, *args, **kwargs: layer(*args, **kwargs), replace)
    if not replaced:
        raise ValueError(f"insert {item.name}: the backbone has no convolution to standardise")
    for old, new in replaced:
        new.kernel.assign(old.kernel)
        if old.use_bias:
            new.bias.assign(old.bias)
        if new.gain:
            new.keep_scale()
        keep_frozen(old, new)
    return rebuilt
