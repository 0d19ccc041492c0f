"""Head-only fine-tuning beside plain Keras: the same network, photos, epochs and batch.

    python benchmarks/head_only.py run [--sets flowers,...] [--repeats 3] [--ways ...]
    python benchmarks/head_only.py table

Each run is a process of its own, one after another, the ways in turn; the table has the
medians. `keras` is a careful script: image_dataset_from_directory, a frozen base called with
training=False, prefetch. `keras, cached` keeps the decoded images with `.cache()`. `tlkit` is
`tlkit.finetune` from an empty cache of features; `again` is the same once more, which finds
them. Needs the folder that TLKIT_TEST_ASSETS names; rows are appended to head_only.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

FIGURES = pathlib.Path(__file__).with_suffix(".jsonl")
SETS = ("hymenoptera", "flowers", "surface_defects", "rsscn7")
WAYS = (
    "keras",
    "keras, cached",
    "tlkit, tensorflow",
    "tlkit, openvino",
    "tlkit, openvino, again",
    "pass, tensorflow",
    "pass, openvino",
)
EPOCHS, BATCH, SIDE = 10, 32, 224
WEIGHTS = "mobilenet_v2_1.0_224_no_top.weights.h5"


def assets() -> pathlib.Path:
    return pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])


def plain_keras(data: str, cached: bool) -> dict[str, Any]:
    """What a person who knows Keras would write."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    splits = {}
    for split in ("train", "val"):
        found = keras.utils.image_dataset_from_directory(
            assets() / "data" / data / split,
            image_size=(SIDE, SIDE),
            crop_to_aspect_ratio=True,
            batch_size=None if cached else BATCH,
            shuffle=split == "train" and not cached,
            seed=0,
            verbose=0,
        )
        classes = len(found.class_names)
        if cached:
            found = found.map(lambda x, y: (tf.cast(tf.round(x), tf.uint8), y)).cache()
            if split == "train":
                found = found.shuffle(10_000, seed=0)
            found = found.batch(BATCH)
        splits[split] = found.prefetch(tf.data.AUTOTUNE)
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), pooling="avg"
    )
    base.load_weights(assets() / "weights" / WEIGHTS)
    base.trainable = False
    image = keras.Input((SIDE, SIDE, 3))
    x = base(keras.layers.Rescaling(1 / 127.5, -1.0)(image), training=False)
    x = keras.layers.Dense(classes)(keras.layers.Dropout(0.2)(x))
    model = keras.Model(image, x)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    found = model.fit(splits["train"], validation_data=splits["val"], epochs=EPOCHS, verbose=0)
    return {"accuracy": max(found.history["val_accuracy"])}


def tlkit_run(data: str, engine: str, folder: pathlib.Path) -> dict[str, Any]:
    import tlkit

    recipe = {
        "name": data,
        "data": {"source": {"folder": str(assets() / "data" / data)}, "batch_size": BATCH},
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets() / "weights" / WEIGHTS),
            "head": {"linear": {"dropout": 0.2}},
        },
        "engine": engine,
        "finetune": {"stages": [{"policy": "head-only", "epochs": EPOCHS}]},
        "export": [],
    }
    result = tlkit.finetune(recipe, run_dir=folder).result
    return {"accuracy": result["best"]["val_accuracy"], "parts": result["seconds"]}


def bare_pass(data: str, engine: str) -> dict[str, Any]:
    """The engine alone over decoded images, its making left out."""
    import keras
    import numpy as np

    from tlkit import registry
    from tlkit.features.split_network import whole

    splits = [
        keras.utils.image_dataset_from_directory(
            assets() / "data" / data / split, image_size=(SIDE, SIDE), batch_size=64,
            crop_to_aspect_ratio=True, verbose=0,
        )
        for split in ("train", "val")
    ]  # fmt: skip
    images = np.concatenate([x.numpy().round().astype("uint8") for s in splits for x, _ in s])
    base = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), pooling="avg"
    )
    base.load_weights(assets() / "weights" / WEIGHTS)
    image = keras.Input((SIDE, SIDE, 3))
    model = whole(keras.Model(image, base(keras.layers.Rescaling(1 / 127.5, -1.0)(image)))).frozen
    run = registry.ENGINES.build(engine, model)
    run(images[:64])
    start = time.perf_counter()
    for first in range(0, len(images), 64):
        run(images[first : first + 64])
    return {"pass": time.perf_counter() - start, "images": len(images)}


def child(way: str, data: str, folder: str) -> None:
    """One run in this process; prints a line of JSON."""
    start = time.perf_counter()
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401

    if way.startswith("tlkit"):
        import matplotlib.pyplot as plt  # noqa: F401
        import scipy.optimize  # noqa: F401

        import tlkit.model
        import tlkit.train.loop  # noqa: F401

        if "openvino" in way:
            from tlkit.features.engines.openvino import runtime

            runtime()
    imported = time.perf_counter() - start
    start = time.perf_counter()
    kind, _, rest = way.partition(", ")
    if kind == "keras":
        found = plain_keras(data, bool(rest))
    elif kind == "pass":
        found = bare_pass(data, rest)
    else:
        found = tlkit_run(data, rest.split(",")[0], pathlib.Path(folder) / "run")
    found |= {"seconds": time.perf_counter() - start, "import": imported}
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    print(json.dumps({**found, "peak_mb": round(peak / 1000)}))


def run(sets: list[str], ways: list[str], repeats: int) -> None:
    for repeat in range(repeats):
        for data in sets:
            kept = tempfile.mkdtemp()  # the features of `openvino`, for `again`
            for way in ways:
                cache = kept if "openvino" in way else tempfile.mkdtemp()
                place = tempfile.mkdtemp()
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, __file__, "child", way, data, place],
                    env={**os.environ, "TLKIT_CACHE": cache, "TF_CPP_MIN_LOG_LEVEL": "3"},
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(done.stderr)
                row = json.loads(done.stdout.strip().splitlines()[-1])
                row |= {"way": way, "data": data, "process": time.perf_counter() - start}
                with FIGURES.open("a") as file:
                    file.write(json.dumps({**row, "repeat": repeat}) + "\n")
                print(row, flush=True)


def table() -> None:
    """Medians, and ratios to `keras`, as Markdown."""
    rows = [json.loads(line) for line in FIGURES.read_text().splitlines()]

    def median(way: str, data: str, key: str) -> float | None:
        values = [r[key] for r in rows if r["way"] == way and r["data"] == data and key in r]
        return statistics.median(values) if values else None

    for data in SETS:
        if median("keras", data, "seconds") is None:
            continue
        print(f"\n{data}\n")
        print(
            "| | seconds | keras / this | whole process | keras / this | peak memory | accuracy |"
        )
        print("|---|---|---|---|---|---|---|")
        base = {key: median("keras", data, key) for key in ("seconds", "process")}
        for way in WAYS:
            seconds, process = (median(way, data, key) for key in ("seconds", "process"))
            if seconds is None or process is None or way.startswith("pass"):
                continue
            peak, accuracy = (median(way, data, key) for key in ("peak_mb", "accuracy"))
            print(
                f"| {way} | {seconds:.1f} | {base['seconds'] / seconds:.1f} | {process:.1f} | "
                f"{base['process'] / process:.1f} | {peak:.0f} MB | {accuracy:.3f} |"
            )
        for way in WAYS:
            if (bare := median(way, data, "pass")) is not None:
                print(f"\n{way} over decoded images: {bare:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--sets", default=",".join(SETS))
    runner.add_argument("--ways", default=";".join(WAYS), help="With semicolons between.")
    runner.add_argument("--repeats", type=int, default=3)
    commands.add_parser("table")
    own = commands.add_parser("child")
    for name in ("way", "data", "folder"):
        own.add_argument(name)
    given = parser.parse_args()
    if given.command == "run":
        run(given.sets.split(","), [w.strip() for w in given.ways.split(";")], given.repeats)
    elif given.command == "table":
        table()
    else:
        child(given.way, given.data, given.folder)


if __name__ == "__main__":
    main()
