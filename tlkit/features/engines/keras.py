"""The model as Keras runs it."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from tlkit.registry import register

_TRACED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@register("keras", rank=4, least_cosine=0.0, precisions="float32")
def keras(model: Any) -> Any:
    """Keras itself, compiled by TensorFlow; what the others are compared with."""
    import tensorflow as tf

    forward = traced(model)

    def run(images: Any) -> list[np.ndarray]:
        outputs = forward(tf.convert_to_tensor(images, tf.uint8))
        return [x.numpy() for x in tf.nest.flatten(outputs)]

    return run


def traced(model: Any) -> Any:
    """A concrete function of any number of uint8 images, its variables still in it.

    Traced once for a model; what is made from it reads the weights of that moment.
    """
    import tensorflow as tf

    if model not in _TRACED:

        @tf.function(autograph=False)
        def forward(images: Any) -> Any:
            outputs = model(tf.cast(images, tf.float32), training=False)
            return [tf.cast(x, tf.float32) for x in tf.nest.flatten(outputs)]

        shape = (None, *model.inputs[0].shape[1:])
        _TRACED[model] = forward.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    return _TRACED[model]
