"""BatchNorm folded into the kernel before it."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from tlkit.surgery.clone import clone_with

FOLDABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D,
            keras.layers.Dense)  # fmt: skip


@dataclasses.dataclass
class FoldReport:
    """What was folded.

    Attributes:
        folded: Names of the BatchNorm layers that are gone, with the layer each went into.
        kept: Names of those that stayed, with the reason.
    """

    folded: dict[str, str]
    kept: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{len(self.folded)} BatchNorm layers folded, {len(self.kept)} kept"]
        return "\n".join([*lines, *(f"  {name}: {why}" for name, why in self.kept.items())])


def fold_batch_norm(model: Any) -> tuple[Any, FoldReport]:
    """A copy of a model with BatchNorm at inference folded into the kernels before it.

    With s = gamma / sqrt(moving_variance + epsilon): W' = s W for each output
    channel and b' = s (b - moving_mean) + beta. For parts that are frozen and for
    export; the copy cannot be trained as the model could.

    Args:
        model: A functional Keras model; nested ones are opened.

    Returns:
        The copy, and a report.

    Raises:
        ValueError: for a subclassed model.
    """
    report = FoldReport({}, {})
    into: dict[str, Any] = {}
    _look(model, into, report)

    def replace(layer: Any) -> Any:
        norm = into.get(layer.name)
        if norm is None:
            return keras.layers.Identity(name=layer.name) if layer.name in report.folded else None
        new = type(layer).from_config({**layer.get_config(), "use_bias": True})
        new.build(layer.input.shape)
        _fill(new, layer, norm)
        return new

    return clone_with(model, replace), report


def _look(model: Any, into: dict[str, Any], report: FoldReport) -> None:
    """Finds each BatchNorm and the layer that it can go into."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _look(layer, into, report)
        elif isinstance(layer, keras.layers.BatchNormalization):
            before, why = _producer(model, layer)
            if why:
                report.kept[layer.name] = why
            else:
                into[before.name] = layer
                report.folded[layer.name] = before.name


def _producer(model: Any, norm: Any) -> tuple[Any, str]:
    """The layer whose output a BatchNorm normalises, or why it cannot take it up."""
    if len(norm._inbound_nodes) != 1:
        return None, "is used more than once"
    if norm.axis not in (-1, len(norm.input.shape) - 1):
        return None, "does not normalise the last axis"
    before = norm.input._keras_history.operation
    if type(before) not in FOLDABLE:
        return None, f"comes after {type(before).__name__} {before.name!r}, which has no kernel"
    shared = len(before._inbound_nodes) != 1 or len(before._outbound_nodes) != 1
    if shared or any(before.output is tensor for tensor in model.outputs):
        return None, f"the output of {before.name!r} is used elsewhere too"
    if keras.activations.serialize(before.activation) not in (None, "linear"):
        return None, f"{before.name!r} has an activation between"
    return before, ""


def _fill(new: Any, old: Any, norm: Any) -> None:
    """Writes the folded weights; computed in float64."""
    channels = norm.moving_mean.shape[0]
    gamma = np.asarray(norm.gamma, "float64") if norm.scale else np.ones(channels)
    beta = np.asarray(norm.beta, "float64") if norm.center else np.zeros(channels)
    scale = gamma / np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    bias = np.asarray(old.bias, "float64") if old.use_bias else np.zeros(channels)
    for source, target in zip(old.weights, new.weights, strict=False):
        if target.name != "bias":
            target.assign(source)
    kernel = new.pointwise_kernel if isinstance(old, keras.layers.SeparableConv2D) else new.kernel
    shape = kernel.shape[-2:] if isinstance(old, keras.layers.DepthwiseConv2D) else (channels,)
    kernel.assign(np.asarray(kernel, "float64") * scale.reshape(shape))
    new.bias.assign(scale * (bias - np.asarray(norm.moving_mean, "float64")) + beta)
