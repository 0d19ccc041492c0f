"""Which flowers are on mosaics of photos: a pretrained network against scikit-learn on the same features."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

import tlkit

L2 = 0.05
SIDE = 80  # pixels of a photo; four make an image


@pytest.fixture(scope="module")
def mosaics(assets, tmp_path_factory):
    """Four photos an image, none of a photo of training in an image of validation."""
    root, rng = tmp_path_factory.mktemp("mosaics"), np.random.default_rng(0)
    rows = []
    for split, count in (("train", 240), ("val", 120)):
        photos = sorted((assets / "data" / "flowers" / split).rglob("*.jpg"))
        for index in range(count):
            own = [photos[k] for k in rng.choice(len(photos), 4, replace=False)]
            mosaic = Image.new("RGB", (2 * SIDE, 2 * SIDE))
            for place, photo in enumerate(own):
                tile = Image.open(photo).convert("RGB").resize((SIDE, SIDE))
                mosaic.paste(tile, (SIDE * (place % 2), SIDE * (place // 2)))
            mosaic.save(root / f"{split}{index}.png")
            names = sorted({photo.parent.name for photo in own})
            rows.append((f"{split}{index}.png", ",".join(names), split))
    with open(root / "list.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "flowers", "split"), *rows])
    return root


def trained(mosaics, assets, folder, *stages):
    return tlkit.finetune(
        {
            "data": {
                "source": {
                    "manifest": {"path": str(mosaics / "list.csv"), "label_column": "flowers"}
                },
                "image_size": 2 * SIDE,
            },
            "model": {
                "backbone": "mobilenet_v2",
                "weights": str(assets / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"),
                "head": {"linear": {"dropout": 0.0}},
            },
            "finetune": {"stages": list(stages)},
            "export": [],
        },
        run_dir=folder,
        console=None,
    )


@pytest.mark.assets
def test_it_is_the_logistic_regression_of_scikit_learn_and_full_training_is_better(
    mosaics, assets, tmp_path
):
    solved = {"policy": "head-only", "solver": "lbfgs", "l2": L2}
    run = trained(mosaics, assets, tmp_path / "head", solved)
    assert run.result["task"] == "multi-label"
    with open(mosaics / "list.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([[name in row["flowers"].split(",") for name in run.classes] for row in rows])
    val = np.array([row["split"] == "val" for row in rows])
    pooled = keras.Model(run.model.input, run.model.get_layer("head_pooling").output)
    prepare = run.trained.prepare()
    images = [np.asarray(prepare((mosaics / row["image"]).read_bytes())) for row in rows]
    features = pooled.predict(np.stack(images).astype("float32"), verbose=0).astype("float64")
    # of the loss: 1 / (n K) sum ce + l2 / 2 |W|^2
    strength = 1 / (L2 * (~val).sum() * labels.shape[1])
    expected = np.stack(
        [
            LogisticRegression(C=strength, max_iter=5000)
            .fit(features[~val], own[~val])
            .predict_proba(features[val])[:, 1]
            for own in labels.T
        ],
        axis=1,
    )
    found = average_precision_score(labels[val], expected)
    assert run.metrics.map == pytest.approx(found, abs=0.005)
    assert run.metrics.map > labels[val].mean(0).mean() + 0.1  # chance
    full = {"policy": "full", "epochs": 4, "batch_size": 16, "optimizer": {"adamw": 1e-3}}
    better = trained(mosaics, assets, tmp_path / "full", solved, full)
    assert better.metrics.map > run.metrics.map + 0.005
