"""Layers that only matter while training, taken out again."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.surgery.clone import keep_flag, keep_frozen


def plain_model(model: Any) -> Any:
    """A model with the same answers at inference, of Keras's own layers where that can be.

    A layer with a method `plain()` gives the native layer that does the same at
    inference: stochastic depth is then gone, DropConnect an ordinary dense layer,
    a standardised convolution an ordinary one. So a saved model loads where tlkit
    is not installed.

    Args:
        model: A functional Keras model; nested ones are opened.

    Returns:
        The model itself where there is nothing to replace, else a new one.
    """
    if not _has_plain(model):
        return model
    replaced: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
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


def _has_plain(model: Any) -> bool:
    return any(
        _has_plain(layer) if isinstance(layer, keras.Model) else hasattr(layer, "plain")
        for layer in model.layers
    )
