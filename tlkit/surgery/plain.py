"""Removes layers that only matter in training."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.surgery.clone import keep_flag, keep_frozen
from tlkit.tensors import KerasLayer, KerasModel


def plain_model(model: KerasModel) -> KerasModel:
    """Returns a model with the same inference outputs, of Keras's own layers where possible.

    A layer with a method `plain()` is replaced by the native layer that this method
    returns, which computes the same at inference: stochastic depth is removed,
    DropConnect becomes an ordinary dense layer, a standardised convolution an ordinary
    one. A saved model can therefore be loaded where tlkit is not installed.

    Args:
        model: Functional Keras model; nested models are processed too.

    Returns:
        The model itself if there is nothing to replace, else a new one.
    """
    if not _has_plain(model):
        return model
    replaced: list[tuple[Any, Any]] = []

    def clone(layer: KerasLayer) -> KerasModel:
        if isinstance(layer, keras.Model):
            return plain_model(layer)
        if not hasattr(layer, "plain"):
            return layer
        new = layer.plain()
        replaced.append((layer, new))
        return new

    rebuilt = keras.models.clone_model(
        model,
        clone_function=clone,
        call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs),
    )
    for old, new in replaced:
        weights = old.plain_weights() if hasattr(old, "plain_weights") else old.weights
        for variable, value in zip(new.weights, weights, strict=True):
            variable.assign(value)
        keep_frozen(old, new)
    keep_flag(model, rebuilt)
    return rebuilt


def _has_plain(model: KerasModel) -> bool:
    return any(
        _has_plain(layer) if isinstance(layer, keras.Model) else hasattr(layer, "plain")
        for layer in model.layers
    )
