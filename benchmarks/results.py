"""Accuracy of tlkit's defaults beside a usual hand-written script, on real weights and photos.

    python benchmarks/results.py run    # appends one JSON line a run to results.jsonl beside it
    python benchmarks/results.py table  # prints the table of docs/results.md

Needs the folder that TLKIT_TEST_ASSETS names. Every run is a process of its
own. `head-only` is ten epochs of the head; `staged` is the recipe of that name,
ten epochs of the head and eight of everything, with smoothed labels; `far` is the recipe far-domain. `script` is
what a user writes by hand after Keras's transfer-learning guide: frozen base
called with training=False, Adam 1e-3, then everything unfrozen, with the
optimizer named; its figures are those of the last epoch.
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

SETS = ("hymenoptera", "flowers", "surface_defects", "rsscn7")
NETWORKS = {
    "1.0": ("mobilenet_v2_1.0_224_no_top.weights.h5", {}),
    "0.35": ("mobilenet_v2_0.35_224_no_top.weights.h5", {"alpha": 0.35}),
}
FIGURES = pathlib.Path(__file__).with_suffix(".jsonl")
HEAD_EPOCHS, FULL_EPOCHS = 10, 8


def assets() -> pathlib.Path:
    return pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])


def recipe(data: str, network: str, seed: int, kind: str) -> dict:
    far = kind == "far"
    head = {"policy": "head-only", "epochs": HEAD_EPOCHS, "augment": []}
    full = {"policy": "full", "epochs": FULL_EPOCHS}
    weights, arguments = NETWORKS[network]
    return {
        "name": f"results-{data}-{network}-{seed}",
        "seed": seed,
        "data": {"source": {"folder": str(assets() / "data" / data)}, "image_size": 224},
        "augment": ["flip", "quarter_turns"] if far else ["flip"],
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets() / "weights" / weights),
            "arguments": arguments,
        },
        "finetune": {
            "loss": {"cross_entropy": {"label_smoothing": 0.0 if kind == "head-only" else 0.1}},
            "stages": [head] if kind == "head-only" else [head, full],
        },
        "export": [],
    }


def run_tlkit(data: str, network: str, seed: int, kind: str) -> dict:
    import tlkit

    with tempfile.TemporaryDirectory() as folder:
        result = tlkit.finetune(recipe(data, network, seed, kind), run_dir=folder).result
    names = ("head_only", "staged")
    scores = [stage["metrics"]["val_accuracy"] for stage in result["stages"]]
    return {**dict(zip(names, scores, strict=False)), "seconds": result["seconds"]["total"]}


def run_script(data: str, network: str, seed: int, optimizer: str) -> dict:
    """What people write by hand; it knows nothing of tlkit."""
    import keras

    keras.utils.set_random_seed(seed)
    folder = assets() / "data" / data
    size = (224, 224)
    train, val = (
        keras.utils.image_dataset_from_directory(
            folder / part, image_size=size, batch_size=32, shuffle=part == "train", seed=seed
        )
        for part in ("train", "val")
    )
    names = train.class_names
    train, val = train.cache().prefetch(2), val.cache().prefetch(2)
    weights, arguments = NETWORKS[network]
    base = keras.applications.MobileNetV2(
        input_shape=(*size, 3), include_top=False, weights=None, **arguments
    )
    base.load_weights(assets() / "weights" / weights)
    base.trainable = False
    inputs = keras.Input((*size, 3))
    x = keras.layers.RandomFlip("horizontal")(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(len(names))(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    head = model.fit(train, validation_data=val, epochs=HEAD_EPOCHS, verbose=0)
    base.trainable = True
    second = {
        "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
        "adam": lambda: keras.optimizers.Adam(1e-3),
        "adam-small": lambda: keras.optimizers.Adam(1e-5),
    }[optimizer]()
    model.compile(second, loss, metrics=["accuracy"])
    full = model.fit(train, validation_data=val, epochs=FULL_EPOCHS, verbose=0)
    return {
        "head_only": head.history["val_accuracy"][-1],
        "staged": full.history["val_accuracy"][-1],
        "train_accuracy": full.history["accuracy"][-1],
    }


def one(args: argparse.Namespace) -> None:
    if args.kind.startswith("script:"):
        result = run_script(args.data, args.network, args.seed, args.kind.split(":")[1])
    else:
        result = run_tlkit(args.data, args.network, args.seed, args.kind)
    row = {"kind": args.kind, "data": args.data, "network": args.network, "seed": args.seed}
    with open(args.out, "a") as file:
        file.write(json.dumps({**row, **result}) + "\n")
    print({**row, **result}, flush=True)


def run(args: argparse.Namespace) -> None:
    done = set()
    if pathlib.Path(args.out).exists():
        for line in pathlib.Path(args.out).read_text().splitlines():
            row = json.loads(line)
            done.add((row["kind"], row["data"], row["network"], row["seed"]))
    for kind in args.kinds.split(","):
        for network in args.networks.split(","):
            for seed in map(int, args.seeds.split(",")):
                for data in args.sets.split(","):
                    if (kind, data, network, seed) in done or (kind == "far" and data != "rsscn7"):
                        continue
                    subprocess.run(
                        [
                            sys.executable,
                            __file__,
                            "one",
                            "--kind",
                            kind,
                            "--data",
                            data,
                            "--network",
                            network,
                            "--seed",
                            str(seed),
                            "--out",
                            args.out,
                        ],
                        check=True,
                    )


def table(args: argparse.Namespace) -> None:
    rows = [json.loads(line) for line in pathlib.Path(args.out).read_text().splitlines()]
    for network in NETWORKS:
        print(f"\nMobileNetV2 {network}\n")
        print("| set | " + " | ".join(SETS) + " |\n|---|" + "---|" * len(SETS))
        kinds = list(dict.fromkeys(row["kind"] for row in rows))
        for kind in kinds:
            for key in ("head_only", "staged"):
                cells = []
                for data in SETS:
                    values = [
                        row[key]
                        for row in rows
                        if (row["kind"], row["data"], row["network"]) == (kind, data, network)
                        and key in row
                    ]
                    each = " ".join(f"{value:.3f}" for value in values)
                    cells.append(f"**{statistics.mean(values):.3f}** ({each})" if values else "")
                if any(cells):
                    print(f"| {kind}: {key.replace('_', '-')} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (run, table, one):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        command.add_argument("--out", default=str(FIGURES))
        if function is run:
            command.add_argument("--kinds", default="head-only,staged,far,script:sgd")
            command.add_argument("--networks", default="1.0,0.35")
            command.add_argument("--seeds", default="0,1,2")
            command.add_argument("--sets", default=",".join(SETS))
        if function is one:
            for name in ("kind", "data", "network"):
                command.add_argument(f"--{name}")
            command.add_argument("--seed", type=int)
    options = parser.parse_args()
    options.function(options)
