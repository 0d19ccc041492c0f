"""BatchNorm with TensorFlow's fused kernel, which Keras does not use.

Keras computes BatchNorm from separate operations; the fused kernel computes the same
in one forward and one backward pass (`benchmarks/normalisation.py steps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tlkit.layers.fused_under_xla import under_xla
from tlkit.registry import register
from tlkit.tensors import KerasLayer, KerasVariable, Tensor


def can_fuse_batch(layer: KerasLayer) -> bool:
    """Whether the fused kernel computes the same as this BatchNorm layer."""
    return bool(
        keras.backend.backend() == "tensorflow"
        and isinstance(layer, keras.layers.BatchNormalization)
        and layer.built
        and layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4
        and not layer.synchronized
        and not layer.renorm
    )


def batch_norm(
    layer: KerasLayer, own: Callable[..., Any], inputs: Tensor, training: bool, mask: Tensor = None
) -> Tensor:
    """Output of a BatchNorm layer, with the fused kernel; also updates its moving statistics.

    Keras's computation is used where the kernel would compute something else: with a mask,
    for float64 or integers, and under XLA, which computes the kernel's variance as
    E[x^2] - E[x]^2. An empty batch leaves the statistics unchanged (with Keras they become
    NaN).

    Args:
        layer: BatchNorm layer; if `can_fuse_batch` is false for it, `own` is called.
        own: The layer's own Keras `call`.
        inputs: `(batch, height, width, channels)`.
        training: Whether to use the batch's statistics and update the moving statistics.
        mask: Positions that count towards the statistics.
    """
    takes = keras.backend.standardize_dtype(inputs.dtype) in ("float32", "float16", "bfloat16")
    if mask is None and takes and can_fuse_batch(layer) and not under_xla():
        return _by_kernel(layer, inputs, training)
    if not training or not _may_be_empty(inputs):
        return own(inputs, training=training, mask=mask)
    before = [keras.ops.copy(v.value) for v in layer.non_trainable_variables]
    outputs = own(inputs, training=True, mask=mask)
    empty = _is_empty(inputs)
    for variable, value in zip(layer.non_trainable_variables, before, strict=True):
        variable.assign(keras.ops.where(empty, value, variable.value))
    return outputs


def _may_be_empty(inputs: Tensor) -> bool:
    return None in inputs.shape or 0 in inputs.shape


def _is_empty(inputs: Tensor) -> Any:
    return keras.ops.equal(keras.ops.prod(keras.ops.shape(inputs)), 0)


def _by_kernel(layer: KerasLayer, inputs: Tensor, training: bool) -> Tensor:
    import tensorflow as tf

    def float32(variable: KerasVariable) -> Any:
        return tf.cast(variable.value, tf.float32)

    width = inputs.shape[-1]
    gamma = float32(layer.gamma) if layer.scale else tf.ones((width,))
    beta = float32(layer.beta) if layer.center else tf.zeros((width,))
    none = tf.zeros((0,))
    outputs = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta,
        mean=none if training else float32(layer.moving_mean),
        variance=none if training else float32(layer.moving_variance),
        epsilon=layer.epsilon, is_training=training,
    )  # fmt: skip
    if training:
        count = tf.cast(tf.size(inputs) / width, tf.float32)
        # the kernel returns the unbiased variance, Keras keeps the biased one
        variance = outputs.batch_variance * (count - 1.0) / count
        for moving, value in (
            (layer.moving_mean, outputs.batch_mean),
            (layer.moving_variance, variance),
        ):
            old = float32(moving)
            new = old * layer.momentum + tf.stop_gradient(value) * (1.0 - layer.momentum)
            moving.assign(tf.where(count > 0, new, old) if _may_be_empty(inputs) else new)
    return tf.cast(outputs.y, layer.compute_dtype)


@register("fused_batch_normalization", inserted=False)
@keras.saving.register_keras_serializable(package="tlkit")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that uses the fused kernel where it applies.

    Arguments, weights, names, values, gradients and statistics are the same: mean and
    biased variance of the batch, moving statistics m <- momentum m + (1 -
    momentum) batch. (Ioffe and Szegedy 2015, algorithm 1.) The fused kernel is used on
    the TensorFlow backend, for four dimensions with channels last, in float32 or half
    precision. Keras's own computation is used in all other cases: other ranks and axes,
    float64, masks, `synchronized`, `renorm`, and under XLA (`jit_compile=True`), whose
    version of the kernel loses the variance of values far from zero. An empty batch
    leaves the moving statistics unchanged.

    Args:
        args, kwargs: Arguments of `keras.layers.BatchNormalization`.

    Input and output: `(batch, ..., channels)`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        return batch_norm(self, super().call, inputs, bool(training) and self.trainable, mask)

    def _moments(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Keras's moments, except for an empty batch: its NaN mean would spoil gamma's gradient."""
        mean, variance = super()._moments(inputs, mask)
        if not _may_be_empty(inputs):
            return mean, variance
        empty, where, cast = _is_empty(inputs), keras.ops.where, keras.ops.cast
        return (
            where(empty, cast(self.moving_mean, mean.dtype), mean),
            where(empty, cast(self.moving_variance, variance.dtype), variance),
        )

    def plain(self) -> KerasLayer:
        """The equivalent Keras layer."""
        return keras.layers.BatchNormalization.from_config(self.get_config())
