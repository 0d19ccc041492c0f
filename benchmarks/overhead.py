"""What watching over a run costs: the same training with and without it.

    python benchmarks/overhead.py --assets ../shared/assets

Trains all of MobileNetV2 on the flowers for two epochs, several times in turn: with everything off,
with the guard, with the monitor, with the state saved every ten steps, and with all of it as it is
by default. Printed are the medians of the seconds of training and their ratios.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile

import tlkit

OFF = {"finetune.guard": False, "finetune.monitor": False, "checkpoint.every": "epoch"}
VARIANTS: dict[str, dict[str, object]] = {
    "nothing": OFF,
    "guard": {**OFF, "finetune.guard": True},
    "monitor": {**OFF, "finetune.monitor": True},
    "state every 10 steps": {**OFF, "checkpoint.every": "10 steps"},
    "the default": {},
}


def recipe(assets: pathlib.Path, size: int) -> dict:
    return {
        "name": "overhead",
        "data": {"source": {"folder": str(assets / "data/flowers")}, "image_size": size},
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets / "weights/mobilenet_v2_1.0_224_no_top.weights.h5"),
        },
        "finetune": {"stages": [{"policy": "full", "epochs": 2}]},
        "export": [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for repeat in range(given.repeats + 1):
        for name, changes in VARIANTS.items():
            with tempfile.TemporaryDirectory() as folder:
                overrides = [f"{key}={str(value).lower()}" for key, value in changes.items()]
                run = tlkit.finetune(
                    recipe(given.assets, given.size), overrides, pathlib.Path(folder) / "run"
                )
            if repeat:  # the first round warms the machine up
                seconds[name].append(run.result["stages"][0]["seconds"])
                print(f"{repeat} {name:<22} {seconds[name][-1]:7.2f} s", flush=True)
    base = statistics.median(seconds["nothing"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<22} {median:7.2f} s  {100 * (median / base - 1):+5.1f} %")


if __name__ == "__main__":
    main()
