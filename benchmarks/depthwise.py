"""ConvNeXtTiny with Keras's grouped convolutions and as depthwise ones, forward and in training.

    python benchmarks/depthwise.py

224 pixels, batch 8, random weights, the ways in turn, medians of five; prints a Markdown table.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit.surgery import as_depthwise

BATCH, ROUNDS = 8, 5


def ways(model: Any) -> dict[str, Callable[[], Any]]:
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, 224, 224, 3)), "float32")

    @tf.function(autograph=False)
    def forward() -> Any:
        return model(images, training=False)

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return {"forward": forward, "forward and backward": step}


def main() -> None:
    own = keras.applications.ConvNeXtTiny(
        weights=None, include_top=False, input_shape=(224, 224, 3), pooling="avg"
    )
    found = {"grouped": ways(own), "depthwise": ways(as_depthwise(own))}
    print("| | grouped, images/s | depthwise, images/s | times |\n|---|---|---|---|")
    for what in found["grouped"]:
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for name in found:
            found[name][what]()
        for _ in range(ROUNDS):
            for name, kind in found.items():
                start = time.perf_counter()
                tf.nest.map_structure(lambda x: x.numpy(), kind[what]())
                seconds[name].append(time.perf_counter() - start)
        a, b = (BATCH / statistics.median(seconds[name]) for name in found)
        print(f"| {what} | {a:.1f} | {b:.1f} | {b / a:.1f} |", flush=True)


if __name__ == "__main__":
    main()
