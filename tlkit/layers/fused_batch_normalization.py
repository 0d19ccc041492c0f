"""BatchNorm by TensorFlow's fused kernel, which Keras does not use.

Keras computes BatchNorm from separate operations; the fused kernel does the same
in one pass forward and one backward (`benchmarks/normalisation.py steps`).
"""

from __future__ import annotations

from typing import Any

import keras

from tlkit.registry import register


def can_fuse_batch(layer: Any) -> bool:
    """Whether a BatchNorm layer's work is what the fused kernel does."""
    return bool(
        keras.backend.backend() == "tensorflow"
        and isinstance(layer, keras.layers.BatchNormalization)
        and layer.built
        and layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4
        and not layer.synchronized
        and not layer.renorm
    )


def fused_batch_norm(layer: Any, inputs: Any, training: bool) -> Any:
    """What a BatchNorm layer gives, and does to its statistics, by the fused kernel.

    Args:
        layer: For which `can_fuse_batch` is true.
        inputs: `(batch, height, width, channels)`.
        training: Use and take in the batch's statistics.
    """
    import tensorflow as tf

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


@register("fused_batch_normalization", inserted=False)
@keras.saving.register_keras_serializable(package="tlkit")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` by the fused kernel where that applies.

    The same arguments, weights, names, values, gradients and statistics: mean and
    biased variance of the batch, moving statistics m <- momentum m + (1 -
    momentum) batch. (Ioffe and Szegedy 2015, algorithm 1.) On the TensorFlow
    backend, for four dimensions with the channels last and no mask, the fused
    kernel does the work; elsewhere, and for `synchronized` or `renorm`, Keras's own.

    Args:
        kwargs: Of `keras.layers.BatchNormalization`.

    Input and output: `(batch, ..., channels)`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None or len(inputs.shape) != 4 or not can_fuse_batch(self):
            return super().call(inputs, training=training, mask=mask)
        return fused_batch_norm(self, inputs, bool(training) and self.trainable)

    def plain(self) -> Any:
        """Keras's own layer."""
        return keras.layers.BatchNormalization.from_config(self.get_config())


# Keras names the groups of weights in a file, and layers, by the class: this one's are to be
# those of its parent, so that files of weights serve both
FusedBatchNormalization.__name__ = "BatchNormalization"
