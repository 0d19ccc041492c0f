"""One full training step of a backbone: tlkit's loop against plain Keras `train_on_batch`.

    python benchmarks/step.py mobilenet_v2

Both train everything at 224 pixels in batches of 32 with Adam; rounds of both
alternate and the medians are printed with their ratio.
"""

from __future__ import annotations

import pathlib
import statistics
import sys
import time

import keras
import numpy as np

from tlkit.freeze import apply_plan, make_plan
from tlkit.model import build_network
from tlkit.recipe.schema import Data, Finetune, Model, Stage
from tlkit.train.defaults import complete
from tlkit.train.loop import Training, make_optimizer, make_step
from tlkit.train.state import TrainState

BATCH, ROUNDS, CLASSES = 32, 6, list("abcde")


def network(name: str):
    config = Model.model_validate({"backbone": name, "weights": "none"})
    return build_network(config, CLASSES, (224, 224))


def tlkit_step(name: str):
    net = network(name)
    plan = make_plan("full", {}, net.blocks, net.head)
    apply_plan(plan, net.model, net.blocks)
    data = Data.model_validate({"source": {"folder": "unused"}})
    stage = complete(Stage.model_validate({"policy": "full"}), data, [])
    config = Finetune.model_validate({"stages": [{"policy": "full"}]})
    place = pathlib.Path("unused")
    training = Training(net, None, config, np.ones(5), 0, TrainState(), place, [])  # type: ignore[arg-type]
    by_path = {v.path: v for v in net.model.variables}
    variables = [by_path[path] for path in plan.trainable]
    optimizer = make_optimizer(stage, plan, False)
    optimizer.build(variables)
    step = make_step(training, net.logits, [], optimizer, variables, None)
    return lambda images, labels: [float(value) for value in step(images, labels)]


def keras_step(name: str):
    model = network(name).logits
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-4), loss, metrics=["accuracy"])
    return lambda images, labels: model.train_on_batch(images.astype("float32"), labels)


if __name__ == "__main__":
    backbone = sys.argv[1] if len(sys.argv) > 1 else "mobilenet_v2"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, 224, 224, 3), dtype=np.uint8)
    labels = rng.integers(0, 5, BATCH).astype("int32")
    steps = {"tlkit": tlkit_step(backbone), "keras": keras_step(backbone)}
    times: dict[str, list[float]] = {"tlkit": [], "keras": []}
    for round_number in range(ROUNDS + 2):
        for who, step in steps.items():
            start = time.perf_counter()
            step(images, labels)
            if round_number >= 2:  # the first ones compile
                times[who].append(time.perf_counter() - start)
    medians = {who: BATCH / statistics.median(values) for who, values in times.items()}
    for who, speed in medians.items():
        print(f"{who:<6} {speed:6.1f} images/s")
    print(f"ratio  {medians['tlkit'] / medians['keras']:6.2f}")
