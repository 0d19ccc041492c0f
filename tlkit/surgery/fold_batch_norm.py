"""Folds BatchNorm into the preceding kernel."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit.surgery.clone import call_instead, clone_with
from tlkit.surgery.walk import nodes_of
from tlkit.tensors import KerasLayer, KerasModel

FOLDABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D,
            keras.layers.Dense)  # fmt: skip


@dataclasses.dataclass
class FoldReport:
    """What was folded.

    Attributes:
        folded: Names of the removed BatchNorm layers, each with the layer it was folded into.
        kept: Names of the BatchNorm layers that were kept, each with the reason.
    """

    folded: dict[str, str]
    kept: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{len(self.folded)} BatchNorm layers folded, {len(self.kept)} kept"]
        return "\n".join([*lines, *(f"  {name}: {why}" for name, why in self.kept.items())])


def fold_batch_norm(model: KerasModel) -> tuple[Any, FoldReport]:
    """Returns a copy of a model with inference BatchNorm folded into the preceding kernels.

    With s = gamma / sqrt(moving_variance + epsilon): W' = s W for each output
    channel and b' = s (b - moving_mean) + beta. This is meant for frozen parts
    and for export; the copy does not train as the model does.

    Args:
        model: Functional Keras model; nested models are processed too.

    Returns:
        The copy and a report.

    Raises:
        ValueError: for a subclassed model.
    """
    report, pairs = _look(model)
    into = {layer.name: (norm, shape) for layer, norm, shape in pairs}

    def replace(layer: KerasLayer) -> Any:
        if layer.name not in into:
            return keras.layers.Identity(name=layer.name) if layer.name in report.folded else None
        norm, shape = into[layer.name]
        new = type(layer).from_config({**layer.get_config(), "use_bias": True})
        new.build(shape)
        for source, target in zip(layer.weights, new.weights, strict=False):
            if target.name != "bias":
                target.assign(source)
        kernel, bias = _folded(layer, norm)
        _kernel_of(new).assign(kernel)
        new.bias.assign(bias)
        return new

    return clone_with(model, replace), report


@contextlib.contextmanager
def folded_in_place(model: KerasModel) -> Iterator[list[tuple[Any, np.ndarray]]]:
    """Reduces BatchNorm to adding a constant while something is traced.

    Nothing is copied. Yields the kernels, each with the value to use for it meanwhile.

    Args:
        model: Functional Keras model; nested models are processed too.
    """
    kernels, before = [], []
    for layer, norm, _ in _look(model)[1]:
        kernel, bias = _folded(layer, norm)
        kernels.append((_kernel_of(layer), kernel.astype("float32")))
        if layer.use_bias:
            kernels.append((layer.bias, np.zeros(layer.bias.shape, "float32")))
        before.append(call_instead(norm, _adder(bias)))
    try:
        yield kernels
    finally:
        for release in reversed(before):
            release()


def _adder(bias: np.ndarray) -> Any:
    """Returns the call of a BatchNorm that only has to add a constant."""
    return lambda x, **_: tf.nn.bias_add(x, tf.cast(bias, x.dtype))


def _look(model: KerasModel) -> tuple[FoldReport, list[tuple[Any, Any, Any]]]:
    """Finds layers that a BatchNorm can be folded into, that BatchNorm, and the input shapes."""
    report = FoldReport({}, {})
    pairs: list[tuple[Any, Any, Any]] = []
    graphs = _graphs(model)
    nodes = [node for graph in graphs for node in nodes_of(graph)]
    maker = {id(tensor): node for node in nodes for tensor in node.outputs}
    calls = Counter(id(node.operation) for node in nodes)
    users = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    users.update(id(tensor) for graph in graphs for tensor in graph.outputs)

    def producer(node: Any) -> tuple[Any, str]:
        """Returns the call whose output a BatchNorm normalises, or why it cannot be folded."""
        norm, (tensor,) = node.operation, node.input_tensors
        if calls[id(norm)] != 1:
            return None, "is used more than once"
        if norm.axis not in (-1, len(tensor.shape) - 1):
            return None, "does not normalise the last axis"
        before = maker[id(tensor)].operation
        if type(before) not in FOLDABLE:
            return None, f"comes after {type(before).__name__} {before.name!r}, which has no kernel"
        if calls[id(before)] != 1 or users[id(tensor)] != 1:
            return None, f"the output of {before.name!r} is used elsewhere too"
        if keras.activations.serialize(before.activation) not in (None, "linear"):
            return None, f"{before.name!r} has an activation between"
        return maker[id(tensor)], ""

    for node in nodes:
        layer = node.operation
        if isinstance(layer, keras.layers.BatchNormalization):
            before, why = producer(node)
            if why:
                report.kept[layer.name] = why
            else:
                pairs.append((before.operation, layer, before.input_tensors[0].shape))
                report.folded[layer.name] = before.operation.name
    return report, pairs


def _graphs(model: KerasModel) -> list[Any]:
    """Returns a functional model and those inside it, each once; none for a subclassed model."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not hasattr(model, "operations"):
        return []
    found = [model]
    for node in nodes_of(model):
        if isinstance(node.operation, keras.Model):
            found += [graph for graph in _graphs(node.operation) if graph not in found]
    return found


def _folded(layer: KerasLayer, norm: KerasLayer) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias with a BatchNorm folded in, in float64."""
    channels = norm.moving_mean.shape[0]
    gamma = np.asarray(norm.gamma, "float64") if norm.scale else np.ones(channels)
    beta = np.asarray(norm.beta, "float64") if norm.center else np.zeros(channels)
    scale = gamma / np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    bias = np.asarray(layer.bias, "float64") if layer.use_bias else np.zeros(channels)
    kernel = np.asarray(_kernel_of(layer), "float64")
    shape = kernel.shape[-2:] if isinstance(layer, keras.layers.DepthwiseConv2D) else (channels,)
    return (
        kernel * scale.reshape(shape),
        scale * (bias - np.asarray(norm.moving_mean, "float64")) + beta,
    )


def _kernel_of(layer: KerasLayer) -> Any:
    """Returns the variable whose last axes are the output channels."""
    separable = isinstance(layer, keras.layers.SeparableConv2D)
    return layer.pointwise_kernel if separable else layer.kernel
