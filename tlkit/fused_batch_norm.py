"""BatchNorm by TensorFlow's fused kernel, which Keras does not use.

Keras computes BatchNorm from separate operations; the fused kernel does the same
in one pass forward and one backward (`benchmarks/step.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def can_fuse(layer: Any) -> bool:
    """Whether a BatchNorm layer's work is what the fused kernel does."""
    import keras

    return bool(
        keras.backend.backend() == "tensorflow"
        and type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4
        and not layer.synchronized
    )


def fuse(layer: Any, frozen: bool) -> Callable[[], None]:
    """Makes one BatchNorm layer call the fused kernel; the same values, sooner.

    Args:
        layer: A built `keras.layers.BatchNormalization` over the last of four axes.
        frozen: Ignore `training=True`: use and keep the moving statistics.

    Returns:
        A function that makes the layer as it was.
    """
    import tensorflow as tf

    original = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training) and not frozen
        if mask is not None:
            return original(inputs, training=training, mask=mask)
        width = inputs.shape[-1]
        gamma = layer.gamma.value if layer.scale else tf.ones((width,))
        beta = layer.beta.value if layer.center else tf.zeros((width,))
        if not training:
            output, _, _ = tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, layer.moving_mean.value, layer.moving_variance.value,
                epsilon=layer.epsilon, is_training=False,
            )  # fmt: skip
            return output
        output, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, epsilon=layer.epsilon, is_training=True
        )
        # the kernel returns the unbiased variance, Keras keeps the biased one
        count = tf.cast(tf.size(inputs) / width, tf.float32)
        variance *= (count - 1.0) / count
        momentum = layer.momentum
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving.value * momentum + tf.stop_gradient(value) * (1.0 - momentum))
        return output

    layer.call = call

    def release() -> None:
        del layer.call

    return release
