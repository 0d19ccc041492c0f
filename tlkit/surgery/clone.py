"""Copies of a model with some layers replaced."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras

from tlkit.errors import first_line


def clone_with(
    model: Any,
    replace: Callable[[Any], Any],
) -> Any:
    """A copy of a model with weights of its own, some layers of it replaced.

    Args:
        model: A functional or sequential Keras model; nested ones are opened.
        replace: Gives another layer in the place of one, or None to copy it. One
            that is built keeps its weights; another takes those of the old layer. What
            was frozen stays so: layers, nested models and single variables.

    Raises:
        ValueError: for a subclassed model, which cannot be taken apart, and for a
            layer that cannot be made again from its configuration.
    """
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ValueError(
            f"{model.name!r} is a subclassed model, whose layers cannot be replaced; only "
            "functional and sequential models can"
        )
    pairs: list[tuple[Any, Any]] = []
    layers: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
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
        # an operation, as ConvNeXt's `+`, is no layer and has no weights
        if isinstance(new, keras.Layer) and not new.built:
            pairs.append((layer, new))
        return new

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
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


def call_instead(layer: Any, call: Callable[..., Any]) -> Callable[[], None]:
    """Makes one layer compute something else for a while.

    Returns:
        A function that gives it back the call that it had.
    """
    before = vars(layer).get("call")
    layer.call = call

    def release() -> None:
        if before is None:
            del layer.call
        else:
            layer.call = before

    return release


def keep_frozen(old: Any, new: Any) -> None:
    """Freezes of a layer what is frozen of the one that it stands for; what is frozen stays so."""
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


def keep_flag(old: Any, new: Any) -> None:
    """Gives a model another's own `trainable`, and leaves the layers in it as they are."""
    flags = [(layer, layer.trainable) for layer in _inside(new)]
    variables = [(v, v.trainable) for v in new.weights]
    new.trainable = old.trainable
    for layer, flag in flags:
        layer.trainable = flag
    for v, flag in variables:
        v.trainable = flag


def _inside(layer: Any) -> list[Any]:
    """The layers in a layer, outer ones first."""
    return list(layer._flatten_layers(include_self=False, recursive=True))
