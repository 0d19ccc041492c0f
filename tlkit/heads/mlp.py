"""A hidden layer between the pooled features and the logits."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit import registry
from tlkit.heads.linear import linear
from tlkit.limits import Activation, Fraction, Initializer, hidden_layer_learns, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("mlp", rule="hidden_layer_learns")
def mlp(
    features: Tensor,
    classes: int,
    *,
    units: Annotated[int, within(1, 65_536)] = 256,
    dropout: Fraction = 0.2,
    activation: Activation = "relu",
    initializer: Initializer = "xavier",
    drop_connect: Fraction = 0.0,
) -> Tensor:
    """Global average pooling, one hidden layer, dropout and a dense layer.

    Args:
        features: `(batch, height, width, channels)` or `(batch, channels)`.
        classes: Number of logits.
        units: Width of the hidden layer.
        dropout: Fraction of the hidden layer's outputs dropped during training.
        activation: Activation of the hidden layer.
        initializer: Initializer of the hidden layer's kernel; zeros would never learn.
        drop_connect: Fraction of the hidden kernel's entries dropped during training.

    Returns:
        Logits `(batch, classes)`.

    Raises:
        ValueError: if the hidden layer is to be initialised with zeros.
    """
    hidden_layer_learns(initializer)
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D(name="head_pooling")(features)
    arguments = {
        "kernel_initializer": registry.INITIALIZERS.build(initializer),
        "name": "head_hidden",
    }
    if drop_connect:
        dense = registry.LAYERS.build("drop_connect", units, rate=drop_connect, **arguments)
    else:
        dense = keras.layers.Dense(units, **arguments)
    hidden = registry.ACTIVATIONS.build(activation)(dense(features))
    return linear(hidden, classes, dropout=dropout)
