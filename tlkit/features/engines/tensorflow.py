"""The model as a TensorFlow graph of constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.registry import register
from tlkit.surgery import fold_batch_norm


@register("tensorflow", rank=2, least_cosine=0.9999, precisions="float32")
def tensorflow(model: Any) -> Any:
    """TensorFlow with BatchNorm folded and variables made constants.

    With kernels that are known, the runtime joins convolution, bias and activation
    into one operation.
    """
    import tensorflow as tf

    frozen = constant_graph(model)

    def run(images: Any) -> list[np.ndarray]:
        return [x.numpy() for x in tf.nest.flatten(frozen(tf.convert_to_tensor(images)))]

    return run


def constant_graph(model: Any, batch: int | None = None, dtype: str = "uint8") -> Any:
    """A concrete function from images to float32 outputs, with no variable left in it.

    Args:
        model: A functional Keras model with one input.
        batch: Number of images it takes; any, if not given.
        dtype: Of the images.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    folded, _ = fold_batch_norm(model)

    @tf.function(autograph=False)
    def forward(images: Any) -> Any:
        outputs = folded(tf.cast(images, tf.float32), training=False)
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(outputs)]

    shape = (batch, *model.inputs[0].shape[1:])
    return convert_variables_to_constants_v2(
        forward.get_concrete_function(tf.TensorSpec(shape, dtype))
    )
