"""The model as Keras runs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.registry import register


@register("keras", rank=3, least_cosine=0.0, precisions="float32")
def keras(model: Any) -> Any:
    """Keras itself, compiled by TensorFlow; what the others are compared with."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        outputs = model(tf.cast(images, tf.float32), training=False)
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(outputs)]

    def run(images: Any) -> list[np.ndarray]:
        return [x.numpy() for x in forward(images)]

    return run
