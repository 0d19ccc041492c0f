"""What watching over a run costs.

    python benchmarks/overhead.py

Times each part by itself, MobileNetV2 with everything training, and sets it against an epoch of 30
steps of 32 images; the difference of two whole runs would be lost in the noise of a machine.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

BATCH, STEPS = 32, 30


def pieces(size: int) -> None:
    """Milliseconds of every part, and its share of an epoch."""
    import contextlib

    import keras
    import numpy as np
    import tensorflow as tf

    from tlkit.data.dataset import Dataset, Split
    from tlkit.model import build_network
    from tlkit.recipe.load import load_recipe
    from tlkit.tasks.classification import Classification
    from tlkit.train.context import make_context
    from tlkit.train.defaults import completed
    from tlkit.train.guard import checksums
    from tlkit.train.monitor import Monitor
    from tlkit.train.plans import stage_plans
    from tlkit.train.stage_setup import set_up_stage
    from tlkit.train.state import TrainState, save_state

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
    labels = rng.integers(0, 5, BATCH).astype("int32")
    recipe = completed(
        load_recipe(
            {
                "name": "overhead",
                "data": {"source": {"folder": "unused"}},
                "model": {"backbone": "mobilenet_v2", "weights": "none"},
                "finetune": {"stages": [{"policy": "full"}]},
                "cache": "off",
            }
        )
    )
    task = Classification(list("abcde"))
    network = build_network(recipe.model, task, (size, size))
    split = Split([], labels, [], pixels)
    dataset = Dataset(task, {"train": split, "val": split}, [], None, (size, size))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        place = pathlib.Path(folder, "state.npz")
        context = make_context(recipe, dataset, network)
        (planned,) = stage_plans(recipe, network)
        plan, ready = planned.plan, set_up_stage(context, planned, undo)
        monitor = Monitor(network, ready.model, plan, ready.statistics)

        def step() -> None:
            float(ready.step(pixels, labels)[0])

        gradients = [tf.random.normal(v.shape) for v in ready.changing]
        norm = tf.function(lambda: tf.linalg.global_norm(gradients), autograph=False)

        def state() -> None:
            arrays = {
                "model": [np.asarray(v) for v in network.model.variables],
                "optimizer": [np.asarray(v) for v in ready.optimizer.variables],
            }
            save_state(place, TrainState(), arrays)

        step_ms = milliseconds(step)
        epoch = STEPS * step_ms
        monitor.before_update()
        monitor.after_update()
        parts = {
            "gradient norm, every step": (milliseconds(lambda: norm().numpy()), STEPS),
            "update ratios, once an epoch": (
                milliseconds(lambda: (monitor.before_update(), monitor.after_update())), 1
            ),
            "dead ReLUs and drift, every 4th epoch": (
                milliseconds(lambda: monitor.of_epoch([pixels])), 1 / 4
            ),
            "guard, twice a stage of 5 epochs": (
                milliseconds(lambda: checksums(network, plan)), 2 / 5
            ),
            "state saved, once an epoch": (milliseconds(state), 1),
        }  # fmt: skip
    keras.backend.clear_session()
    print(f"a step of {BATCH} images of {size} pixels takes {step_ms:.0f} ms")
    for name, (each, times) in parts.items():
        print(f"{name:<40} {each:8.1f} ms  {100 * each * times / epoch:5.2f} % of an epoch")


def milliseconds(run: Callable[[], object], repeats: int = 12) -> float:
    """Median of some runs; the first compiles."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs="+", default=[128, 224], help="pixels")
    for size in parser.parse_args().size:
        pieces(size)


if __name__ == "__main__":
    main()
