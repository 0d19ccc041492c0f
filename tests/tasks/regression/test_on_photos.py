"""Brightness of real photos from a pretrained network's features, against scikit-learn's ridge on the same."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

import tlkit

L2 = 0.3


@pytest.mark.assets
def test_it_is_the_ridge_of_scikit_learn(assets, tmp_path):
    photos = sorted((assets / "data" / "flowers").rglob("*.jpg"))[::20][:120]
    with open(tmp_path / "list.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "brightness", "split"])
        for index, photo in enumerate(photos):
            level = np.asarray(Image.open(photo).convert("L")).mean()
            writer.writerow([photo, f"{level:.3f}", "val" if index % 4 == 0 else "train"])
    weights = assets / "weights" / "mobilenet_v2_1.0_224_no_top.weights.h5"
    run = tlkit.finetune(
        {
            "data": {"source": {"manifest": str(tmp_path / "list.csv")}, "image_size": 96},
            "model": {
                "backbone": "mobilenet_v2",
                "weights": str(weights),
                "head": {"linear": {"dropout": 0.0}},
            },
            "finetune": {"stages": [{"policy": "head-only", "solver": "lbfgs", "l2": L2}]},
            "engine": "keras",
            "export": [],
        },
        run_dir=tmp_path / "run",
        console=None,
    )
    assert run.result["task"] == "regression"
    pooled = keras.Model(run.model.input, run.model.get_layer("head_pooling").output)
    prepare = run.trained.prepare()
    images = np.stack([np.asarray(prepare(photo.read_bytes())) for photo in photos])
    features = pooled.predict(images.astype("float32"), verbose=0).astype("float64")
    with open(tmp_path / "list.csv", newline="") as file:
        numbers = np.array([float(row["brightness"]) for row in csv.DictReader(file)])
    val = np.arange(len(photos)) % 4 == 0
    standard = (numbers - numbers.mean()) / numbers.std()
    # of the loss: mean (y - f)^2 + l2 / 2 |w|^2
    ridge = Ridge(alpha=L2 * (~val).sum() / 2).fit(features[~val], standard[~val])
    expected = ridge.predict(features[val]) * numbers.std() + numbers.mean()
    assert run.metrics.r2 == pytest.approx(r2_score(numbers[val], expected), abs=1e-3)
    found = [
        one.values["brightness"] for one in run.predict([photos[k] for k in np.flatnonzero(val)])
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.05)
