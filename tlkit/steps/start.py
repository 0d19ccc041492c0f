"""Importing and configuring TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tlkit.recipe.schema import Recipe
from tlkit.runs import folder as run_folder


def import_tensorflow() -> None:
    """Imports TensorFlow quietly, and lets it allocate GPU memory as needed."""
    # its C++ code warns of missing GPU libraries at every start; failures are exceptions
    with run_folder.silenced(2):
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
    for device in devices:
        tf.config.experimental.set_memory_growth(device, True)


@contextmanager
def number_format_kept() -> Iterator[None]:
    """Restores Keras's dtype policy on exit, for layers created outside of tlkit."""
    keras = sys.modules.get("keras")
    before = None if keras is None else keras.config.dtype_policy()
    try:
        yield
    finally:
        keras = sys.modules.get("keras")
        if keras is not None:
            keras.config.set_dtype_policy(before or keras.config.floatx())


def start_tensorflow(recipe: Recipe) -> None:
    """Imports TensorFlow, and sets seeds and the dtype policy."""
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(_dtype_policy(recipe.finetune.mixed_precision))


def _dtype_policy(wanted: str) -> str:
    import tensorflow as tf

    if wanted == "auto":
        wanted = "float16" if tf.config.list_physical_devices("GPU") else "off"
    return "float32" if wanted == "off" else f"mixed_{wanted}"
