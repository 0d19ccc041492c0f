"""What single techniques change, on real photos: tlkit's recipe with one thing altered.

    python benchmarks/ablation.py run     # appends one JSON line a run to ablation.jsonl beside it
    python benchmarks/ablation.py table   # prints the tables of docs/results.md

Needs the folder that TLKIT_TEST_ASSETS names. MobileNetV2 0.35 at 96 pixels, ten
epochs of the head, then five of everything, whose last epoch counts. `imbalanced` keeps of each class of
the flowers' training photos a tenth as many as of the one before it, by equal
steps on a logarithmic scale; `noisy` adds Gaussian noise of 50 levels to all
photos, training and validation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pathlib
import statistics
import tempfile

HEAD = {"policy": "head-only", "epochs": 10}
FULL = {"policy": "full", "epochs": 5}
SIZE = 96

# name: what differs from the plain recipe
GENERAL = {
    "plain": {},
    "label smoothing 0.1": {"finetune": {"loss": {"cross_entropy": {"label_smoothing": 0.1}}}},
    "MixUp 0.2": {"augment": ["flip", {"mix_up": {"alpha": 0.2}}]},
    "RandAugment 2, 0.3": {"augment": ["flip", "rand_augment"]},
    "L2 0.01": {"regularize": [{"l2": {"strength": 0.01}}]},
    "L2-SP 0.01": {"regularize": [{"l2_sp": {"alpha": 0.01, "beta": 0.01}}]},
    "stochastic depth 0.2": {"model": {"insert": [{"stochastic_depth": {"rate": 0.2}}]}},
}
IMBALANCED = {
    "plain": {},
    "focal, gamma 2": {"finetune": {"loss": "focal"}},
    "logit adjustment": {"finetune": {"loss": "logit_adjustment"}},
}
NOISY = {
    "plain": {},
    "residual shrinkage, channel": {
        "model": {
            "insert": [
                {
                    "residual_shrinkage": {
                        "thresholds": "channel",
                        "reduction": 4,
                        "after": "block_12",
                    }
                }
            ]
        }
    },
}
STUDIES = {
    "flowers": GENERAL,
    "surface_defects": GENERAL,
    "imbalanced": IMBALANCED,
    "noisy": NOISY,
}


def assets() -> pathlib.Path:
    return pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])


def imbalanced(folder: pathlib.Path) -> dict:
    """A manifest of the flowers, the classes of training thinned out to a tenth in steps."""
    source = assets() / "data" / "flowers"
    names = sorted(p.name for p in (source / "train").iterdir())
    rows = []
    for index, name in enumerate(names):
        files = sorted((source / "train" / name).iterdir())
        kept = round(len(files) * 0.1 ** (index / (len(names) - 1)))
        rows += [(file, name, "train") for file in files[:kept]]
        rows += [(file, name, "val") for file in sorted((source / "val" / name).iterdir())]
    with open(folder / "flowers.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return {"manifest": str(folder / "flowers.csv")}


def noisy(folder: pathlib.Path) -> dict:
    """The flowers with Gaussian noise, the same in every run."""
    import numpy as np
    import tensorflow as tf

    root = folder / "noisy"
    for number, file in enumerate(sorted((assets() / "data" / "flowers").rglob("*.jpg"))):
        target = root / file.relative_to(assets() / "data" / "flowers").with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        image = tf.io.decode_jpeg(file.read_bytes(), channels=3)
        side = tf.cast(tf.shape(image)[:2], tf.float32)
        small = tf.cast(side * SIZE / tf.reduce_min(side), tf.int32)
        pixels = tf.image.resize(image, small, antialias=True).numpy()
        pixels += np.random.default_rng(number).normal(0, 50, pixels.shape)
        target.write_bytes(
            tf.io.encode_png(np.clip(pixels, 0, 255).astype("uint8"), compression=1).numpy()
        )
    return {"folder": str(root)}


def recipe(source: dict, seed: int, changes: dict) -> dict:
    plain = {
        "name": "ablation",
        "seed": seed,
        "data": {"source": source, "image_size": SIZE},
        "augment": ["flip"],
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets() / "weights" / "mobilenet_v2_0.35_224_no_top.weights.h5"),
            "arguments": {"alpha": 0.35},
        },
        "finetune": {"stages": [HEAD, FULL]},
        "export": [],
    }
    for key, value in changes.items():
        plain[key] = {**plain[key], **value} if isinstance(value, dict) else value
    return plain


def run(args: argparse.Namespace) -> None:
    import tlkit

    out = pathlib.Path(args.out)
    done = {
        (row["study"], row["variant"], row["seed"])
        for row in map(json.loads, out.read_text().splitlines() if out.exists() else [])
    }
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make = {"imbalanced": imbalanced, "noisy": noisy}
        for study in args.studies.split(","):
            data = {"folder": str(assets() / "data" / study)}
            source = make[study](folder) if study in make else data
            for seed in map(int, args.seeds.split(",")):
                for variant, changes in STUDIES[study].items():
                    if (study, variant, seed) in done:
                        continue
                    with tempfile.TemporaryDirectory() as run_dir:
                        run = tlkit.finetune(recipe(source, seed, changes), run_dir=run_dir)
                        head = run.result["stages"][0]["metrics"]["val_accuracy"]
                        with open(run.folder / "metrics.csv", newline="") as file:
                            last = list(csv.DictReader(file))[-1]
                    row = {"study": study, "variant": variant, "seed": seed,
                           "head_only": head, "staged": float(last["val_accuracy"])}  # fmt: skip
                    with out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(row, flush=True)


def table(args: argparse.Namespace) -> None:
    rows = [json.loads(line) for line in pathlib.Path(args.out).read_text().splitlines()]
    for study, variants in STUDIES.items():
        print(f"\n| {study} | head-only | staged |\n|---|---|---|")
        for variant in variants:
            cells = []
            for key in ("head_only", "staged"):
                values = [
                    row[key] for row in rows if row["study"] == study and row["variant"] == variant
                ]
                if values:
                    spread = statistics.stdev(values) if len(values) > 1 else 0.0
                    cells.append(f"{statistics.mean(values):.3f} ± {spread:.3f}")
            if cells:
                print(f"| {variant} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (run, table):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        command.add_argument("--out", default=str(pathlib.Path(__file__).with_suffix(".jsonl")))
    commands.choices["run"].add_argument("--seeds", default="0,1,2")
    commands.choices["run"].add_argument("--studies", default=",".join(STUDIES))
    options = parser.parse_args()
    options.function(options)
