"""Running a model over images in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tlkit.any_batch import for_any_batch
from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches
from tlkit.features.engine import CHECKED, WORTH_AN_ENGINE, Engine, choose_engine
from tlkit.features.split_network import flatten_model
from tlkit.tensors import Decoder, Forward, KerasModel, Tensor


def make_forward(model: KerasModel) -> Forward:
    """A compiled model: uint8 or float images, or features -> float32 outputs."""

    def forward(images: Tensor) -> Any:
        given = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        return tf.cast(model(given, training=False), tf.float32)

    return for_any_batch(forward)


def make_fast_forward(
    model: KerasModel,
    images: Tensor,
    count: int,
    engine: str = "auto",
    say: Callable[[str], None] = lambda line: None,
    *,
    keep: Callable[[Engine], None] = lambda engine: None,
) -> Callable[[Any], Any]:
    """The fastest compiled form of a finished model whose outputs match Keras's.

    Args:
        model: Model from images to outputs.
        images: Sample of the images, uint8, on which an engine is compared with Keras.
        count: Number of images to come; for few, building another engine is not worth it.
        engine: `auto` is the fastest that differs from Keras only by float32 rounding; a
            registered name may round more.
        say: Called with which engine was chosen, and why others were not.
        keep: Called with the engine that was built.
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
    forward: Forward, split: Split, prepare: Decoder, batch_size: int, progress: Any = None
) -> np.ndarray:
    """Outputs of a compiled model for the images of a split, `(n, ...)`, in order."""
    parts, done = [], 0
    for images, labels in batches(split, prepare, batch_size):
        parts.append(np.asarray(forward(images)))
        done += len(labels)
        if progress is not None:
            progress(done, len(split))
    return np.concatenate(parts)
