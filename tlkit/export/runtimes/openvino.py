"""Runs OpenVINO's IR."""

import sys
from typing import Any

import numpy as np

BLOCKED = ("tlkit", "keras", "tensorflow")


def load(path: str) -> Any:
    """Returns a function from pixels to probabilities."""
    # it would tell its makers of each import
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    loaded = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: Any) -> np.ndarray:
        return np.array(loaded(np.asarray(batch, "float32"))[0])

    # let go on another thread, it would take the stack for signals with it
    run.core = core  # type: ignore[attr-defined]
    return run
