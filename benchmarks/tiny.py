"""Do the bundled weights of `tiny` help? Ten labelled digits a class, the rest held out.

    python benchmarks/tiny.py

For each of five seeds, ten digits of each class are drawn from the 1,797 for
training; accuracy is measured on the other 1,697 after the last epoch. Both
networks get the same images in the same order and the same settings: head-only
is Adam at 1e-2 for 100 epochs on pooled features, full is Adam at 1e-3 with a
cosine for 40 epochs, batches of 20.
"""

from __future__ import annotations

import statistics

import keras
import numpy as np

from tlkit.backbones.load import load_backbone
from tlkit.data.dataset import scan
from tlkit.data.decode import make_preparer
from tlkit.recipe.load import recipes_folder
from tlkit.registry import SOURCES

SHOTS, SIZE = 10, 32


def digits() -> tuple[np.ndarray, np.ndarray]:
    path = str(recipes_folder() / "digits.tfrecord")
    source = SOURCES.build("tfrecord", train=path)
    scanned = scan(source.records, make_preparer((SIZE, SIZE), "squash", False), keep=True)
    return scanned.pixels.astype("float32"), np.array([int(r.label) for r in scanned.records])


def choose(labels: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    few = [rng.choice(np.flatnonzero(labels == k), SHOTS, replace=False) for k in range(10)]
    return rng.permutation(np.concatenate(few))


def accuracy(weights: str, policy: str, images, labels, seed: int) -> float:
    keras.utils.set_random_seed(seed)
    train = choose(labels, seed)
    held = np.setdiff1d(np.arange(len(labels)), train)
    backbone, _ = load_backbone("tiny", weights, (SIZE, SIZE))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs := keras.Input((SIZE, SIZE, 3)))
    pooled = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(backbone(x)))
    head = keras.layers.Dense(10)
    if policy == "head-only":
        images = pooled.predict(images, batch_size=256, verbose=0)
        model, epochs = keras.Sequential([keras.Input((images.shape[-1],)), head]), 100
        rate = 1e-2
    else:
        model, epochs = keras.Model(pooled.input, head(pooled.output)), 40
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(train) // 20)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(images[train], labels[train], batch_size=20, epochs=epochs, verbose=0)
    predicted = model.predict(images[held], batch_size=256, verbose=0).argmax(1)
    return float((predicted == labels[held]).mean())


if __name__ == "__main__":
    pixels, classes = digits()
    print("| policy, weights | seed 0 | 1 | 2 | 3 | 4 | mean |\n|---|---|---|---|---|---|---|")
    for kind in ("head-only", "full"):
        for source in ("none", "bundled"):
            values = [accuracy(source, kind, pixels, classes, seed) for seed in range(5)]
            cells = " | ".join(f"{value:.3f}" for value in values)
            name = "random" if source == "none" else source
            print(f"| {kind}, {name} | {cells} | **{statistics.mean(values):.3f}** |", flush=True)
