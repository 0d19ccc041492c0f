"""`tlkit predict` beside `model.predict` on the same files.

    python benchmarks/predict.py [--rounds 3]

Trains MobileNetV2's head on flowers, then labels all 1,200 files: by Keras as a person would
write it (image_dataset_from_directory and model.predict), and by tlkit with each engine, made
anew each time; `again` is with the engine that the time before has kept in the run's folder.
Rounds in turn in one process, medians, loading the model and making the engine included; needs
the folder that TLKIT_TEST_ASSETS names.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

ENGINES = (
    "keras",
    "tensorflow",
    "openvino-float32",
    "openvino-float32, again",
    "openvino",
    "openvino, again",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TLKIT_CACHE"] = tempfile.mkdtemp()
    import keras

    import tlkit
    from tlkit.runs.predict import predict_files

    assets = pathlib.Path(os.environ["TLKIT_TEST_ASSETS"])
    photos = assets / "data" / "flowers"
    recipe = {
        "name": "flowers",
        "data": {"source": {"folder": str(photos)}},
        "model": {
            "backbone": "mobilenet_v2",
            "weights": str(assets / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"),
        },
        "finetune": {"stages": [{"policy": "head-only", "solver": "lbfgs"}]},
        "export": [],
    }
    run = tlkit.finetune(recipe, run_dir=pathlib.Path(tempfile.mkdtemp()) / "run").folder
    files = sum(1 for f in photos.rglob("*.jpg"))
    labels: dict[str, list[str]] = {}
    largest: dict[str, float] = {}

    def plain() -> None:
        model = keras.models.load_model(run / "model.keras")
        given = keras.utils.image_dataset_from_directory(
            photos, labels=None, image_size=(224, 224), batch_size=32, shuffle=False,
            crop_to_aspect_ratio=True, verbose=0,
        )  # fmt: skip
        model.predict(given, verbose=0)

    def ours(way: str) -> Callable[[], None]:
        def predict() -> None:
            engine, _, again = way.partition(", ")
            if not again:
                shutil.rmtree(run / "engine", ignore_errors=True)
            rows = list(predict_files(run, [photos], 5, engine))
            labels[way] = [row["label"] for row in rows]
            largest[way] = max(
                abs(a["probability"] - b) for a, b in zip(rows, reference, strict=True)
            )

        return predict

    reference = [row["probability"] for row in predict_files(run, [photos], 1, "keras")]
    ways = {"model.predict": plain, **{f"tlkit, {way}": ours(way) for way in ENGINES}}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run_it in ways.items():
            start = time.perf_counter()
            run_it()
            times[way].append(time.perf_counter() - start)
    base = statistics.median(times["model.predict"])
    print(f"\n{files} photos, loading of the model included\n")
    print("| | seconds | images/s | model.predict / this | other labels | largest difference |")
    print("|---|---|---|---|---|---|")
    for way, seconds in times.items():
        middle = statistics.median(seconds)
        engine = way.partition(", ")[2]
        rest = " | | |"
        if engine:
            other = sum(a != b for a, b in zip(labels[engine], labels["keras"], strict=True))
            rest = f" | {other} | {largest[engine]:.4f} |"
        print(f"| {way} | {middle:.1f} | {files / middle:.0f} | {base / middle:.2f}{rest}")


if __name__ == "__main__":
    main()
