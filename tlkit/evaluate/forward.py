"""Running a model over images in inference mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.pipeline import batches


def make_forward(model: Any) -> Any:
    """A compiled pass of a model: uint8 or float images, or features -> float32 outputs."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def forward(images: Any) -> Any:
        given = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), images)
        return tf.cast(model(given, training=False), tf.float32)

    return forward


def predict_outputs(
    forward: Any, split: Split, prepare: Any, batch_size: int, progress: Any = None
) -> np.ndarray:
    """What a compiled pass gives for the images of a split, `(n, ...)`, in their order."""
    parts, done = [], 0
    for images, labels in batches(split, prepare, batch_size):
        parts.append(forward(images).numpy())
        done += len(labels)
        if progress is not None:
            progress(done, len(split))
    return np.concatenate(parts)
