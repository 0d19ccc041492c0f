"""Runs a SavedModel in TensorFlow."""

import os
import tempfile
from typing import Any

import numpy as np

ANSWERS = ("probabilities", "values")  # beside which other tensors are
BLOCKED = ("tlkit", "keras")  # TensorFlow imports Keras by itself where it can


def load(path: str) -> Any:
    """Returns a function from encoded files, or uint8 or float32 pixels, to probabilities."""
    import tensorflow as tf

    if any(character in path for character in "*?[]\\"):
        # TensorFlow takes them for a pattern when it looks for the weights
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, "model")
            os.symlink(os.path.abspath(path), link)
            loaded = tf.saved_model.load(link)
    else:
        loaded = tf.saved_model.load(path)

    def run(batch: Any) -> np.ndarray:
        if isinstance(batch[0], bytes):
            answer = loaded.signatures["serve_bytes"](image_bytes=tf.constant(list(batch)))
        else:
            images = np.asarray(batch)
            name = "serve_uint8" if images.dtype == "uint8" else "serving_default"
            answer = loaded.signatures[name](images=tf.constant(images))
        return np.asarray(next(v for k, v in answer.items() if k in ANSWERS))

    run.signatures = loaded.signatures  # type: ignore[attr-defined]
    return run
