"""The model as Keras runs it."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tlkit.features.compiled_model import CompiledModel
from tlkit.features.fingerprint import add_arrays
from tlkit.registry import register
from tlkit.tensors import Forward, KerasModel, Tensor

# bytes of weights; a graph's constants are in one message, which is limited to 2 GiB
MOST_CONSTANTS = 1_800_000_000
_TRACED: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
# with a hash of the weights in it
_CONSTANT: weakref.WeakKeyDictionary[Any, tuple[bytes, Any]] = weakref.WeakKeyDictionary()


@register("keras", rank=4, least_cosine=0.0, precisions="float32")
def keras(model: KerasModel) -> CompiledModel:
    """Keras itself, compiled by TensorFlow; the reference for the other engines."""
    return CompiledModel(as_arrays(traced(model)))


def as_arrays(forward: Forward) -> Callable[[Any], list[np.ndarray]]:
    """Wraps a function from uint8 tensors to a list of tensors to use arrays instead."""
    import tensorflow as tf

    def run(images: Tensor) -> list[np.ndarray]:
        return [x.numpy() for x in forward(tf.convert_to_tensor(images, tf.uint8))]

    return run


def in_parts(
    run: Callable[[Any], list[np.ndarray]], size: int
) -> Callable[[Any], list[np.ndarray]]:
    """Wraps a compiled network so that it gets at most `size` images at a time."""

    def whole(images: Tensor) -> list[np.ndarray]:
        parts = [run(images[first : first + size]) for first in range(0, len(images), size)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    return whole


@contextlib.contextmanager
def as_traced() -> Iterator[None]:
    """Context in which functions run as traced, without graph optimisation.

    For a few batches, optimising takes longer than it saves.
    """
    import tensorflow as tf

    options = tf.config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    options.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def traced(model: KerasModel) -> Any:
    """A concrete function from any number of uint8 images to float32 outputs; traced once."""
    if model not in _TRACED:
        _TRACED[model] = _trace(model, contextlib.nullcontext)
    return _TRACED[model]


def constant(model: KerasModel) -> Any:
    """The same with the current weights as constants of its graph; cached per set of weights.

    Raises:
        ValueError: if the weights are too large.
    """
    digest = hashlib.sha256()
    add_arrays(digest, model.variables)
    made = _CONSTANT.get(model)
    if made is None or made[0] != digest.digest():
        made = _CONSTANT[model] = digest.digest(), trace_constants(model, [])
    return made[1]


def trace_constants(model: KerasModel, instead: list[tuple[Any, np.ndarray]]) -> Any:
    """A concrete function with constants in place of variables.

    Args:
        model: Model that owns the variables.
        instead: Values to use for some variables in place of their own.

    Raises:
        ValueError: if the weights are too large.
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


def _trace(model: KerasModel, inside: Callable[[], Any]) -> Any:
    import tensorflow as tf

    @tf.function(autograph=False)
    def forward(images: Tensor) -> Any:
        with inside():
            outputs = model(tf.cast(images, tf.float32), training=False)
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(outputs)]

    shape = (None, *model.inputs[0].shape[1:])
    return forward.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
