"""The model as a TensorFlow graph of constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.features.engines.keras import traced
from tlkit.registry import register
from tlkit.surgery import fold_batch_norm


@register("tensorflow", rank=3, least_cosine=0.9999, precisions="float32")
def tensorflow(model: Any) -> Any:
    """TensorFlow with BatchNorm folded and variables made constants.

    With kernels that are known, the runtime joins convolution, bias and activation
    into one operation.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    folded, _ = fold_batch_norm(model)
    frozen = convert_variables_to_constants_v2(traced(folded))

    def run(images: Any) -> list[np.ndarray]:
        outputs = frozen(tf.convert_to_tensor(images, tf.uint8))
        return [x.numpy() for x in tf.nest.flatten(outputs)]

    return run
