"""The model as Keras runs it."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tlkit.features.fingerprint import add_arrays
from tlkit.registry import register

# bytes of weights; a graph's constants are part of one message, which cannot be larger than 2 GiB
MOST_CONSTANTS = 1_800_000_000
_TRACED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
# with a hash of the weights that are in it
_CONSTANT: weakref.WeakKeyDictionary[Any, tuple[bytes, Any]] = weakref.WeakKeyDictionary()


@register("keras", rank=4, least_cosine=0.0, precisions="float32")
def keras(model: Any) -> Any:
    """Keras itself, compiled by TensorFlow; what the others are compared with."""
    return as_arrays(traced(model))


def as_arrays(forward: Any) -> Any:
    """A function of uint8 tensors to a list of them as one from arrays to arrays."""
    import tensorflow as tf

    def run(images: Any) -> list[np.ndarray]:
        return [x.numpy() for x in forward(tf.convert_to_tensor(images, tf.uint8))]

    return run


def in_parts(run: Callable[[Any], list[np.ndarray]], size: int) -> Any:
    """A pass that takes no more than `size` images at a time."""

    def whole(images: Any) -> list[np.ndarray]:
        parts = [run(images[first : first + size]) for first in range(0, len(images), size)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    return whole


@contextlib.contextmanager
def as_traced() -> Iterator[None]:
    """Inside, functions run as they were traced: for a few batches, TensorFlow's rewriting of a graph
    takes longer than it saves."""
    import tensorflow as tf

    options = tf.config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    options.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def traced(model: Any) -> Any:
    """A concrete function of any number of uint8 images to float32 outputs; traced once a model."""
    if model not in _TRACED:
        _TRACED[model] = _trace(model, contextlib.nullcontext)
    return _TRACED[model]


def constant(model: Any) -> Any:
    """The same with the weights of this moment as constants of its graph; made once for them.

    Raises:
        ValueError: if there are too many of them.
    """
    digest = hashlib.sha256()
    add_arrays(digest, model.variables)
    made = _CONSTANT.get(model)
    if made is None or made[0] != digest.digest():
        made = _CONSTANT[model] = digest.digest(), trace_constants(model, [])
    return made[1]


def trace_constants(model: Any, instead: list[tuple[Any, np.ndarray]]) -> Any:
    """A concrete function with constants for variables.

    Args:
        model: Whose variables they are.
        instead: Values that some variables read as in the place of their own.

    Raises:
        ValueError: if there are too many of them.
    """
    import keras
    import tensorflow as tf

    if 4 * model.count_params() > MOST_CONSTANTS:
        raise ValueError("its weights are too large to be constants of a graph")
    other = {id(v) for v, _ in instead}
    own = [(v, np.asarray(v)) for v in model.variables if id(v) not in other]
    return _trace(
        model,
        lambda: keras.StatelessScope([(v, tf.constant(x, v.dtype)) for v, x in own + instead]),
    )


def _trace(model: Any, inside: Callable[[], Any]) -> Any:
    import tensorflow as tf

    @tf.function(autograph=False)
    def forward(images: Any) -> Any:
        with inside():
            outputs = model(tf.cast(images, tf.float32), training=False)
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(outputs)]

    shape = (None, *model.inputs[0].shape[1:])
    return forward.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
