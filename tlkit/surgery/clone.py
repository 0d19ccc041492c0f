"""Copies of a model with some layers replaced."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from tlkit.errors import first_line
from tlkit.tensors import KerasLayer, KerasModel


def clone_with(
    model: KerasModel,
    replace: Callable[[Any], Any],
) -> KerasModel:
    """Returns a copy of a model, with separate weights and some layers replaced.

    Args:
        model: Functional or sequential Keras model; nested models are processed too.
        replace: Function that returns the replacement of a layer, or None to copy the layer.
            A built replacement keeps its weights; any other gets those of the old
            layer. Frozen layers, nested models and single variables remain frozen.

    Raises:
        ValueError: for a subclassed model, whose layers cannot be replaced, and for a
            layer that cannot be recreated from its configuration.
    """
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ValueError(
            f"{model.name!r} is a subclassed model, whose layers cannot be replaced; only "
            "functional and sequential models can"
        )
    pairs: list[tuple[Any, Any]] = []
    layers: list[tuple[Any, Any]] = []

    def clone(layer: KerasLayer) -> KerasModel:
        if isinstance(layer, keras.Model):
            return clone_with(layer, replace)
        new = replace(layer)
        if new is None:
            try:
                new = type(layer).from_config(layer.get_config())
            except (TypeError, ValueError, NotImplementedError) as error:
                raise ValueError(
                    f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied from its "
                    f"configuration: {first_line(error)}"
                ) from None
        layers.append((layer, new))
        # an operation, as ConvNeXt's `+`, is not a layer and has no weights
        if isinstance(new, keras.Layer) and not new.built:
            pairs.append((layer, new))
        return new

    def call(layer: KerasLayer, *args: Any, **kwargs: Any) -> Any:
        # BatchNorm was called with a mask, if only None; its successor may know none
        if kwargs.get("mask") is None and "mask" not in inspect.signature(layer.call).parameters:
            kwargs.pop("mask", None)
        return layer(*args, **kwargs)

    if isinstance(model, keras.Sequential):
        copy = keras.models.clone_model(model, clone_function=clone)
    else:
        copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for old, new in pairs:
        if new.weights:
            for source, target in zip(old.weights, new.weights, strict=True):
                target.assign(source)
    for old, new in layers:
        if isinstance(new, keras.Layer):
            keep_frozen(old, new)
    keep_flag(model, copy)
    return copy


def call_instead(layer: KerasLayer, call: Callable[..., Any]) -> Callable[[], None]:
    """Temporarily replaces what one layer computes.

    Returns:
        A function that restores the layer's previous call.
    """
    before = vars(layer).get("call")
    layer.call = call

    def release() -> None:
        if before is None:
            del layer.call
        else:
            layer.call = before

    return release


def keep_frozen(old: KerasLayer, new: KerasLayer) -> None:
    """Freezes in a new layer what is frozen in the old one; what is frozen already stays so."""
    if not old.trainable:
        new.trainable = False
    if type(new) is not type(old):
        for source in old.weights:
            for target in new.weights:
                if target.name == source.name and not source.trainable:
                    target.trainable = False
        return
    for source, target in zip(_inside(old), _inside(new), strict=True):
        if not source.trainable:
            target.trainable = False
    for source, target in zip(old.weights, new.weights, strict=False):
        if not source.trainable:
            target.trainable = False


def keep_flag(old: KerasLayer, new: KerasLayer) -> None:
    """Copies a model's own `trainable` to another, without changing the layers inside."""
    flags = [(layer, layer.trainable) for layer in _inside(new)]
    variables = [(v, v.trainable) for v in new.weights]
    new.trainable = old.trainable
    for layer, flag in flags:
        layer.trainable = flag
    for v, flag in variables:
        v.trainable = flag


def _inside(layer: KerasLayer) -> list[Any]:
    """Returns the layers inside a layer, outer ones first."""
    return list(layer._flatten_layers(include_self=False, recursive=True))
