"""Runs an ONNX file in ONNX Runtime."""

from typing import Any

import numpy as np

BLOCKED = ("tlkit", "keras", "tensorflow")


def load(path: str) -> Any:
    """Returns a function from pixels to probabilities."""
    import onnxruntime

    loaded = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = loaded.get_inputs()[0].name

    def run(batch: Any) -> np.ndarray:
        return np.asarray(loaded.run(None, {name: np.asarray(batch, "float32")})[0])

    return run
