"""Running a model over images in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.any_batch import for_any_batch
from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.features.cut import flatten_model
from tlkit.features.engine import CHECKED, WORTH_AN_ENGINE, Engine, choose_engine


def make_forward(model: Any) -> Any:
    """A compiled pass of a model: uint8 or float images, or features -> float32 outputs."""
    import tensorflow as tf

    def forward(images: Any) -> Any:
        given = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        return tf.cast(model(given, training=False), tf.float32)

    return for_any_batch(forward)


def make_fast_forward(
    model: Any,
    images: Any,
    count: int,
    engine: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    keep: Callable[[Engine], None] = lambda engine: None,
) -> Callable[[Any], Any]:
    """The fastest pass of a finished model that gives what Keras gives.

    Args:
        model: Images to outputs.
        images: Some of them, uint8, on which an engine is compared with Keras.
        count: How many there will be; for few, another engine is not worth its making.
        engine: `auto` is the fastest that differs from Keras by rounding in float32 alone; a
            registered name may round more.
        say: Is told which engine was taken, and why not another.
        keep: Is given the engine that was made.
    """
    height, width = model.input_shape[1:3]
    if engine == "keras" or (engine == "auto" and count * height * width < WORTH_AN_ENGINE):
        return make_forward(model)
    flat = flatten_model(model)
    chosen = choose_engine(flat, images[:CHECKED], engine, exact=engine == "auto")
    for note in chosen.notes:
        say(note)
    say(f"computed by engine {chosen}")
    keep(chosen)
    return lambda given: chosen.run(given)[0]


def predict_outputs(
    forward: Any, split: Split, prepare: Any, batch_size: int, progress: Any = None
) -> np.ndarray:
    """What a compiled pass gives for the images of a split, `(n, ...)`, in their order."""
    parts, done = [], 0
    for images, labels in batches(split, prepare, batch_size):
        parts.append(np.asarray(forward(images)))
        done += len(labels)
        if progress is not None:
            progress(done, len(split))
    return np.concatenate(parts)
