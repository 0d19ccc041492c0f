"""The model as a TensorFlow graph of constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.features.engines.keras import traced
from tlkit.registry import register


@register("tensorflow", rank=3, least_cosine=0.9999, precisions="float32")
def tensorflow(model: Any) -> Any:
    """TensorFlow with variables made constants.

    With kernels that are known, the runtime folds BatchNorm into them and joins convolution,
    bias and activation into one operation.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(traced(model))

    def run(images: Any) -> list[np.ndarray]:
        outputs = frozen(tf.convert_to_tensor(images, tf.uint8))
        return [x.numpy() for x in tf.nest.flatten(outputs)]

    return run
