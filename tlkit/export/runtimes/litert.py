"""Runs a LiteRT file."""

from typing import Any

import numpy as np

BLOCKED = ("tlkit", "keras", "tensorflow")


def load(path: str) -> Any:
    """Returns a function from pixels to probabilities."""
    from ai_edge_litert.interpreter import Interpreter

    loaded = Interpreter(model_path=path, num_threads=2)
    entry, end = loaded.get_input_details()[0], loaded.get_output_details()[0]

    def run(batch: Any) -> np.ndarray:
        images = np.asarray(batch)
        if entry["dtype"] == np.uint8:
            images = np.clip(np.round(images), 0, 255)
        if tuple(loaded.get_input_details()[0]["shape"]) != images.shape:
            loaded.resize_tensor_input(entry["index"], images.shape)
            loaded.allocate_tensors()
        loaded.set_tensor(entry["index"], images.astype(entry["dtype"]))
        loaded.invoke()
        return np.asarray(loaded.get_tensor(end["index"]))

    return run
