"""What share of the processor's peak each engine reaches.

    python benchmarks/peak.py

The peak is taken as the best that a product of two 2048 x 2048 matrices reaches, in float32 by
TensorFlow and in bfloat16 by OpenVINO. MobileNetV2 at 224 pixels, random weights, needs 0.30
thousand million multiplications with additions an image (Sandler et al. 2018, table 4), counted
as two operations each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

SIDE, BATCH, OPERATIONS = 2048, 32, 2 * 0.30e9


def best(run: Callable[[], Any], rounds: int = 20) -> float:
    """Seconds of the quickest of some rounds, after two that compile."""
    seconds = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds[2:])


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    from tlkit.features.engines.openvino import runtime

    ov = runtime()
    import tensorflow as tf
    from openvino import opset13 as ops

    from tlkit import registry
    from tlkit.features.split_network import whole

    a = tf.random.normal((SIDE, SIDE))
    multiply = tf.function(lambda x: tf.linalg.matmul(x, a))
    peaks = {"float32": 2 * SIDE**3 / best(lambda: multiply(a).numpy())}
    given = ops.parameter([SIDE, SIDE], np.float32)
    product = ops.matmul(given, ops.constant(a.numpy()), False, False)
    compiled = ov.Core().compile_model(
        ov.Model([product], [given]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"}
    )
    values = a.numpy()
    peaks["bfloat16"] = 2 * SIDE**3 / best(lambda: compiled(values))
    for name, peak in peaks.items():
        print(f"product of matrices, {name}: {peak / 1e9:.0f} GFLOP/s")

    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(224, 224, 3), pooling="avg"
    )
    image = keras.Input((224, 224, 3))
    model = whole(keras.Model(image, base(keras.layers.Rescaling(1 / 127.5, -1.0)(image)))).frozen
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8)
    print("\n| engine | images/s | GFLOP/s | of the peak |\n|---|---|---|---|")
    for name in ("keras", "tensorflow", "openvino-float32", "openvino"):
        run = registry.ENGINES.build(name, model)
        speed = BATCH / best(lambda run=run: run(images), 10)  # type: ignore[misc]
        peak = peaks[getattr(run, "precision", "float32")]
        share = speed * OPERATIONS / peak
        print(f"| {name} | {speed:.0f} | {speed * OPERATIONS / 1e9:.0f} | {share:.0%} |")


if __name__ == "__main__":
    main()
