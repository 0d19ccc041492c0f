"""What swapping a network's normalisation costs, and what small batches cost, on real photos.

    python benchmarks/norm_swap.py probe     # linear probes of the features, 224 pixels
    python benchmarks/norm_swap.py finetune  # after one and five epochs of full training, 128 pixels
    python benchmarks/norm_swap.py batches   # flowers, batches of 2, 4, 8, 32, 96 pixels
    python benchmarks/norm_swap.py table     # prints the tables of docs/normalisation.md
    python benchmarks/norm_swap.py plot      # writes docs/normalisation/*.png

Needs the folder that TLKIT_TEST_ASSETS names. Rows are appended to norm_swap.jsonl
beside this file; what is there already is skipped. The probe is ridge regression
on pooled features, its strength chosen by leave-one-out on the training photos.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = pathlib.Path(__file__).with_suffix(".jsonl")
PLOTS = ROOT / "docs" / "normalisation"
NETWORKS = ("v1 1.0", "v1 0.25", "v2 0.35", "v2 1.0")
SETS = ("hymenoptera", "flowers")
CALIBRATION = 128
# name: arguments of swap_norm; images are given unless it says otherwise
STRATEGIES: dict[str, dict[str, Any]] = {
    "plain swap, 16 groups": {"to": "group", "groups": 16, "calibrate": None},
    "calibrated, 32 groups": {"to": "group", "groups": 32},
    "calibrated, 16 groups": {"to": "group", "groups": 16},
    "calibrated, 4 groups": {"to": "group", "groups": 4},
    "calibrated, 1 group": {"to": "layer"},
    "calibrated, instance": {"to": "instance"},
    "calibrated, 16 groups, deeper half": {"to": "group", "groups": 16, "half": True},
    "calibrated + distilled, 1 group": {"to": "layer", "distill": 100},
}
GRADUAL = "gradual, 1 group"
TUNED = (
    "before",
    "plain swap, 16 groups",
    "calibrated, 1 group",
    "calibrated + distilled, 1 group",
    "calibrated, 16 groups, deeper half",
    GRADUAL,
)
BATCHES, SEEDS, EPOCHS = (2, 4, 8, 32), (0, 1, 2), 2
MODES: dict[str, tuple[Any, str]] = {
    "BatchNorm, training": ("keep", "train"),
    "BatchNorm, frozen": ("keep", "frozen"),
    "GroupNorm, calibrated": ({"swap": "group"}, "auto"),
}


def assets() -> pathlib.Path:
    return pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])


def rows() -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in FIGURES.read_text().splitlines()] if FIGURES.exists() else []
    )


def save(row: dict[str, Any]) -> None:
    with FIGURES.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def photos(data: str, side: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """uint8 images, centre-cropped, and labels of both splits."""
    import keras

    found = {}
    for split in ("train", "val"):
        dataset = keras.utils.image_dataset_from_directory(
            assets() / "data" / data / split, image_size=(side, side), batch_size=64,
            shuffle=False, crop_to_aspect_ratio=True, verbose=0,
        )  # fmt: skip
        parts = [(x.numpy().round().astype("uint8"), y.numpy()) for x, y in dataset]
        found[split] = tuple(np.concatenate(values) for values in zip(*parts, strict=True))
    return found


def network(name: str, side: int) -> Any:
    """One of the assets' networks, without its top; takes images in [-1, 1]."""
    import keras

    version, alpha = name.split()
    kind = keras.applications.MobileNet if version == "v1" else keras.applications.MobileNetV2
    file = f"mobilenet_{version}_{alpha}_224_no_top.weights.h5"
    model = kind(alpha=float(alpha), weights=None, include_top=False, input_shape=(side, side, 3))
    if name == "v1 1.0":
        model = keras.Model(model.input, model.get_layer("conv_pw_12_relu").output)
        file = "mobilenet_v1_1.0_224_to_conv_pw_12.weights.h5"
    model.load_weights(assets() / "weights" / file)
    return model


def scaled(images: np.ndarray) -> np.ndarray:
    return images.astype("float32") / 127.5 - 1


def changed(model: Any, strategy: str, images: np.ndarray) -> tuple[Any, float | None, float]:
    """The network after one strategy, how well it agrees with the old one, and seconds."""
    import keras

    from tlkit.surgery import swap_norm

    if strategy == "before":
        return model, None, 0.0
    order = np.random.default_rng(0).permutation(len(images))[:CALIBRATION]
    start = time.perf_counter()
    arguments = {"calibrate": scaled(images[order]), "batch_size": 16, **STRATEGIES[strategy]}
    if arguments.pop("half", False):
        norms = [x.name for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        arguments["layers"] = [f"^{name}$" for name in norms[len(norms) // 2 :]]
    new, report = swap_norm(model, **arguments)
    return new, report.agreement, time.perf_counter() - start


def pooled(model: Any, images: np.ndarray) -> np.ndarray:
    import keras
    import tensorflow as tf

    from tlkit.surgery import fuse

    model = fuse(model)
    forward = tf.function(lambda x: keras.ops.mean(model(x, training=False), (1, 2)))
    parts = [
        forward(tf.constant(scaled(images[i : i + 32]))).numpy() for i in range(0, len(images), 32)
    ]
    return np.concatenate(parts)


def ridge_accuracy(train: Any, val: Any, labels: Any, val_labels: Any) -> float:
    """Validation accuracy of ridge regression on standardised features."""
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    train, val = ((x - mean) / deviation for x in (train, val))
    targets = np.eye(labels.max() + 1)[labels]
    base = targets.mean(0)
    targets = targets - base
    values, vectors = np.linalg.eigh(train @ train.T)
    errors = {}
    for strength in 10.0 ** np.arange(-1, 6):
        hat = vectors * (values / (values + strength)) @ vectors.T
        left_out = (targets - hat @ targets) / (1 - np.diag(hat) - 1 / len(hat))[:, None]
        errors[strength] = np.square(left_out).mean()
    best = min(errors, key=errors.get)
    weights = vectors / (values + best) @ (vectors.T @ targets)
    return float((((val @ train.T) @ weights + base).argmax(1) == val_labels).mean())


def probe(args: argparse.Namespace) -> None:
    done = {(r["network"], r["data"], r["strategy"]) for r in rows() if r["study"] == "probe"}
    for data in SETS:
        sets = photos(data, 224)
        for name in args.networks.split(","):
            for strategy in ("before", *STRATEGIES):
                if (name, data, strategy) in done or strategy in args.without.split(";"):
                    continue
                model = network(name, 224)
                new, agreement, seconds = changed(model, strategy, sets["train"][0])
                features = [pooled(new, sets[split][0]) for split in ("train", "val")]
                accuracy = ridge_accuracy(*features, sets["train"][1], sets["val"][1])
                save({"study": "probe", "network": name, "data": data, "strategy": strategy,
                      "accuracy": accuracy, "agreement": agreement,
                      "seconds": round(seconds, 1)})  # fmt: skip


def blended(model: Any, groups: int) -> tuple[Any, Any]:
    """Every BatchNorm beside a GroupNorm, and the GroupNorms' share, 0 at first."""
    import keras

    from tlkit.surgery.clone import clone_with
    from tlkit.surgery.swap_norm import nearest_divisor

    share = keras.Variable(0.0, trainable=False, name="share")

    class Blend(keras.layers.Layer):
        def __init__(self, norm: Any):
            super().__init__(name=norm.name)
            self.batch = keras.layers.BatchNormalization.from_config(norm.get_config())
            width = norm.gamma.shape[0]
            self.group = FusedGroupNormalization(nearest_divisor(width, groups))
            for part in (self.batch, self.group):
                part.build((None, None, None, width))
            self.batch.set_weights(norm.get_weights())
            self.group.set_weights([norm.gamma, norm.beta])
            self.batch.momentum = 0.9
            self.built = True

        def call(self, x: Any, training: bool = False) -> Any:
            return (1 - share) * self.batch(x, training=training) + share * self.group(x)

    from tlkit.layers import FusedGroupNormalization

    return clone_with(
        model, lambda x: Blend(x) if isinstance(x, keras.layers.BatchNormalization) else None
    ), share


def train_all(base: Any, sets: Any, epochs: int, gradual: bool, peak: float = 3e-4) -> list[float]:
    """Head on fixed features, then everything; validation accuracy after each epoch.

    A gradual swap goes from BatchNorm alone to GroupNorm alone in the first three epochs.
    """
    import keras

    from tlkit.surgery import fuse

    keras.utils.set_random_seed(0)
    (x, y), (x_val, y_val) = sets["train"], sets["val"]
    classes = int(y.max()) + 1
    dense = keras.layers.Dense(classes, kernel_initializer="zeros")
    head = keras.Sequential([keras.Input((base.output.shape[-1],)), dense])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    one_hot = np.eye(classes, dtype="float32")
    head.compile(keras.optimizers.Adam(5e-3), loss)
    head.fit(pooled(base, x), one_hot[y], epochs=10, verbose=0)
    callbacks: list[Any] = []
    steps = -(-len(x) // 32)
    if gradual:
        base, share = blended(base, 1)

        def raise_share(batch: int, logs: Any) -> None:
            share.assign(min(1.0, float(share) + 1 / (3 * steps)))

        callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=raise_share))
    else:
        base = fuse(base)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    inputs = keras.Input(base.input.shape[1:])
    features = base(keras.layers.RandomFlip("horizontal")(inputs))
    pooled_features = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, dense(keras.layers.Dropout(0.2)(pooled_features)))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, (epochs - 1) * steps, warmup_target=peak, warmup_steps=steps
    )
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    data = (scaled(x), one_hot[y]), (scaled(x_val), one_hot[y_val])
    history = model.fit(
        *data[0], validation_data=data[1], epochs=epochs, verbose=0, callbacks=callbacks
    )
    return history.history["val_accuracy"]


def finetune(args: argparse.Namespace) -> None:
    done = {(r["network"], r["data"], r["strategy"]) for r in rows() if r["study"] == "finetune"}
    for data in SETS:
        sets = photos(data, 128)
        for name in args.networks.split(","):
            for strategy in TUNED:
                if (name, data, strategy) in done or strategy in args.without.split(";"):
                    continue
                gradual = strategy == GRADUAL
                first = "before" if gradual else strategy
                new, _, _ = changed(network(name, 128), first, sets["train"][0])
                save({"study": "finetune", "network": name, "data": data, "strategy": strategy,
                      "accuracy": train_all(new, sets, 5, gradual)})  # fmt: skip


def batches(args: argparse.Namespace) -> None:
    import tlkit

    done = {(r["mode"], r["batch"], r["seed"]) for r in rows() if r["study"] == "batches"}
    for seed in SEEDS:
        for batch in BATCHES:
            for mode, (norm, batch_norm) in MODES.items():
                if (mode, batch, seed) in done:
                    continue
                rate = 1e-3 * (batch / 32) ** 0.5
                recipe = {
                    "name": "batches",
                    "seed": seed,
                    "data": {"source": {"folder": str(assets() / "data" / "flowers")},
                             "image_size": 96},
                    "augment": ["flip"],
                    "model": {
                        "backbone": "mobilenet_v2",
                        "weights": str(
                            assets() / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"
                        ),
                        "arguments": {"alpha": 0.35},
                        "norm": norm,
                    },
                    "finetune": {
                        "loss": {"cross_entropy": {"label_smoothing": 0.1}},
                        "stages": [
                            {"policy": "head-only", "epochs": 10, "augment": []},
                            {"policy": "full", "epochs": EPOCHS, "batch_size": batch,
                             "batch_norm": batch_norm,
                             "optimizer": {"adam": {"learning_rate": rate}}},
                        ],
                    },
                    "export": [],
                }  # fmt: skip
                with tempfile.TemporaryDirectory() as folder:
                    run = tlkit.finetune(recipe, run_dir=folder)
                    epochs = (pathlib.Path(folder) / "metrics.csv").read_text().splitlines()
                full = run.result["stages"][-1]["metrics"]
                last = dict(zip(epochs[0].split(","), epochs[-1].split(","), strict=True))
                save({"study": "batches", "mode": mode, "batch": batch, "seed": seed,
                      "best": full["val_accuracy"], "last": float(last["val_accuracy"])})  # fmt: skip


def table(args: argparse.Namespace) -> None:
    found = rows()
    for data in SETS:
        by_network(found, "probe", data, ("before", *STRATEGIES), "linear probe", "{:.3f}".format)
    for data in SETS:
        by_network(
            found, "finetune", data, TUNED, "trained whole, after 1 and 5 epochs",
            lambda epochs: f"{epochs[0]:.3f}, {epochs[-1]:.3f}",
        )  # fmt: skip
    print(f"\nbatch size: last epoch\n\n| | {' | '.join(map(str, BATCHES))} |\n|---|{'---|' * 4}")
    for mode in MODES:
        cells = []
        for batch in BATCHES:
            values = batch_values(found, mode, batch)
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}" if values else "")
        print(f"| {mode} | {' | '.join(cells)} |")


def by_network(
    found: list[dict[str, Any]], study: str, data: str, strategies: Any, title: str, show: Any
) -> None:
    """Prints one study on one set: a row a strategy, a column a network."""
    cells = {
        (r["strategy"], r["network"]): show(r["accuracy"])
        for r in found
        if (r["study"], r.get("data")) == (study, data)
    }
    print(f"\n{data}: {title}\n\n| | {' | '.join(NETWORKS)} |\n|---|{'---|' * 4}")
    for strategy in strategies:
        line = [cells.get((strategy, name), "") for name in NETWORKS]
        if any(line):
            print(f"| {strategy} | {' | '.join(line)} |")


def batch_values(found: list[dict[str, Any]], mode: str, batch: int) -> list[float]:
    return [
        r["last"] for r in found
        if r["study"] == "batches" and (r["mode"], r["batch"]) == (mode, batch)
    ]  # fmt: skip


def plot(args: argparse.Namespace) -> None:
    PLOTS.mkdir(exist_ok=True)
    found = rows()
    plot_groups(found)
    if any(row["study"] == "batches" for row in found):
        plot_batches(found)


def plot_groups(found: list[dict[str, Any]]) -> None:
    """Accuracy of linear probes by the number of groups."""
    import matplotlib.pyplot as plt

    ticks = ["1", "4", "16", "32", "a channel"]
    names = ["1 group", "4 groups", "16 groups", "32 groups", "instance"]
    figure, panels = plt.subplots(1, len(SETS), figsize=(9, 4), sharey=True)
    for axes, data in zip(panels, SETS, strict=True):
        values = {(r["network"], r["strategy"]): r["accuracy"]
                  for r in found if r["study"] == "probe" and r["data"] == data}  # fmt: skip
        for number, network in enumerate(NETWORKS):
            if (network, "before") not in values:
                continue
            line = [values.get((network, f"calibrated, {name}"), np.nan) for name in names]
            axes.plot(ticks, line, marker="o", color=f"C{number}", label=network)
            axes.axhline(values[network, "before"], color=f"C{number}", ls=":", lw=1)
            plain = values[network, "plain swap, 16 groups"]
            axes.plot("16", plain, marker="x", color=f"C{number}")
        axes.set_title(f"{data}: dotted before, crosses not calibrated", fontsize=9)
        axes.set_xlabel("groups")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("linear probe, validation accuracy")
    panels[0].legend()
    figure.tight_layout()
    figure.savefig(PLOTS / "groups.png", dpi=110)


def plot_batches(found: list[dict[str, Any]]) -> None:
    """Error after full training by the size of the batch."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for mode, marker in zip(MODES, "os^", strict=True):
        values = [[1 - v for v in batch_values(found, mode, batch)] for batch in BATCHES]
        means = [100 * statistics.mean(v) for v in values]
        low, high = ([100 * f(v) for v in values] for f in (min, max))
        axes.plot(BATCHES, means, marker=marker, label=mode)
        axes.fill_between(BATCHES, low, high, alpha=0.15)
    axes.set_xscale("log", base=2)
    axes.set_xticks(BATCHES, map(str, BATCHES))
    axes.invert_xaxis()
    axes.set_xlabel("images in a batch")
    axes.set_ylabel("validation error in %, last epoch")
    axes.set_title(
        "flowers, MobileNetV2 0.35, trained whole: mean and range of 3 seeds", fontsize=9
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PLOTS / "batch_size.png", dpi=110)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (probe, finetune, batches, table, plot):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        if function in (probe, finetune):
            command.add_argument("--networks", default=",".join(NETWORKS))
            command.add_argument(
                "--without", default="", help="strategies to leave out, with ; between"
            )
    options = parser.parse_args()
    options.function(options)
