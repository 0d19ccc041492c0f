"""Speed of the fast normalisation layers beside Keras's own.

    python benchmarks/normalisation.py layers   # GroupNorm and BatchNorm, shape by shape
    python benchmarks/normalisation.py steps    # whole training steps of four networks

Both ways run in one process and alternate; medians, in milliseconds and images/s,
with their ratio. A layer is timed as a chain of several, so that the cost of
calling TensorFlow from Python is not part of it. Peak memory is measured in a
process of its own for each way.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

ROUNDS, CHAIN, BATCH = 5, 4, 32
SHAPES = {
    "mobilenet_v2": [
        (112, 112, 32), (112, 112, 96), (56, 56, 24), (56, 56, 144), (28, 28, 32), (28, 28, 192),
        (14, 14, 64), (14, 14, 384), (14, 14, 96), (14, 14, 576), (7, 7, 160), (7, 7, 960),
        (7, 7, 320), (7, 7, 1280),
    ],
    "resnet50": [
        (112, 112, 64), (56, 56, 64), (56, 56, 256), (28, 28, 128), (28, 28, 512), (14, 14, 256),
        (14, 14, 1024), (7, 7, 512), (7, 7, 2048),
    ],
}  # fmt: skip
NETWORKS = {"mobilenet_v2": 32, "resnet50": 16, "densenet121": 16, "efficientnet_v2_b0": 16}


def interleaved(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, taken in turns after two rounds that compile."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def layers(args: argparse.Namespace) -> None:
    import keras
    import tensorflow as tf

    from tlkit.layers import FusedBatchNormalization, FusedGroupNormalization

    def chain(layer: Any) -> tuple[Any, Any]:
        @tf.function(autograph=False)
        def forward(x: Any) -> Any:
            for _ in range(CHAIN):
                x = layer(x, **training)
            return tf.reduce_sum(x[0, 0, 0])

        @tf.function(autograph=False)
        def both(x: Any, upstream: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = x
                for _ in range(CHAIN):
                    y = layer(y, **training)
            return tape.gradient(y, [x, *[v.value for v in layer.trainable_variables]], upstream)

        training = {"training": True} if "Batch" in type(layer).__name__ else {}
        return forward, both

    kinds = {
        "GroupNorm, 16 groups": (keras.layers.GroupNormalization, FusedGroupNormalization,
                                 {"groups": 16}),
        "BatchNorm, training": (keras.layers.BatchNormalization, FusedBatchNormalization, {}),
    }  # fmt: skip
    for title, (theirs, ours, options) in kinds.items():
        if args.only not in title:
            continue
        print(f"\n{title}, batch {BATCH}: Keras ms, tlkit ms, ratio\n")
        print("| network | shape | forward | | | forward + backward | | |")
        print("|---|---|---|---|---|---|---|---|")
        for network, shapes in SHAPES.items():
            for shape in shapes:
                if "groups" in options:
                    options = {"groups": 16 if shape[-1] % 16 == 0 else 8}
                x = tf.random.normal((BATCH, *shape))
                upstream = tf.random.normal(x.shape)
                ways = {}
                for name, kind in (("keras", theirs), ("tlkit", ours)):
                    layer = kind(**options)
                    layer.build(x.shape)
                    ways[name] = chain(layer)
                seconds = [
                    interleaved({n: partial(f, x) for n, (f, _) in ways.items()}, ROUNDS),
                    interleaved({n: partial(f, x, upstream) for n, (_, f) in ways.items()}, ROUNDS),
                ]
                cells = [
                    f"{s['keras'] / CHAIN * 1e3:.2f} | {s['tlkit'] / CHAIN * 1e3:.2f} | "
                    f"**{s['keras'] / s['tlkit']:.2f}**"
                    for s in seconds
                ]
                print(
                    f"| {network} | {'x'.join(map(str, shape))} | {' | '.join(cells)} |", flush=True
                )


def trainer(name: str, fused: bool) -> Callable[[], Any]:
    """A compiled step that trains all of a network in Keras."""
    import keras
    import numpy as np

    from tlkit.backbones import spec as specs
    from tlkit.surgery import fuse

    batch = NETWORKS[name]
    base = specs.find(name).build(include_top=False, weights=None, input_shape=(224, 224, 3))
    base = fuse(base) if fused else base
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(5)(pooled))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (batch, 224, 224, 3)).astype("float32")
    labels = rng.integers(0, 5, batch)
    return lambda: model.train_on_batch(images, labels)


def steps(args: argparse.Namespace) -> None:
    print("\nTraining step, 224 px: images/s and peak memory\n")
    print("| network | batch | Keras | tlkit | ratio | Keras MB | tlkit MB |")
    print("|---|---|---|---|---|---|---|")
    for name, batch in NETWORKS.items():
        ways = {"keras": trainer(name, False), "tlkit": trainer(name, True)}
        seconds = interleaved(ways, ROUNDS)
        speeds = {way: batch / value for way, value in seconds.items()}
        del ways
        peaks = [
            subprocess.run(
                [sys.executable, __file__, "memory", name, way],
                check=True, capture_output=True, text=True,
            ).stdout.strip()
            for way in speeds
        ]  # fmt: skip
        print(
            f"| {name} | {batch} | {speeds['keras']:.1f} | {speeds['tlkit']:.1f} | "
            f"**{speeds['tlkit'] / speeds['keras']:.2f}** | {' | '.join(peaks)} |",
            flush=True,
        )


def memory(args: argparse.Namespace) -> None:
    step = trainer(args.network, args.way == "tlkit")
    for _ in range(4):
        step()
    # getrusage would count the parent's memory too, from before this program was loaded
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) // 1024)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (layers, steps, memory):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
    commands.choices["layers"].add_argument("--only", default="", help="GroupNorm or BatchNorm")
    commands.choices["memory"].add_argument("network")
    commands.choices["memory"].add_argument("way")
    options = parser.parse_args()
    options.function(options)
