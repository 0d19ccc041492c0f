"""Functions compiled once for all batch sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def for_any_batch(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns a function of tensors into a graph that is traced once for all batch sizes.

    The last batch of an epoch is often smaller. A plain `tf.function` would be traced again
    for it, which takes as long as the first time: seconds for a large network.

    Args:
        function: Function of tensors `(batch, ...)`, scalars, or lists of them. Each other dtype
            or image size is traced separately.
    """
    traced: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def spec(value: Any) -> Any:
        shape = (None, *value.shape[1:]) if len(value.shape) else ()
        return tf.TensorSpec(shape, value.dtype)

    def call(*given: Any) -> Any:
        given = tf.nest.map_structure(tf.convert_to_tensor, given)
        signature = tf.nest.map_structure(spec, given)
        key = tuple(tf.nest.flatten(signature))
        if key not in traced:
            traced[key] = tf.function(function, input_signature=signature, autograph=False)
        return traced[key](*given)

    return call
