"""Surgery on networks with ImageNet's weights, seen by real photos."""

import keras
import numpy as np
import pytest

from tlkit.surgery import fold_batch_norm, fuse, swap_norm, unfuse

NETWORKS = {
    "mobilenet_v1_0.25": (keras.applications.MobileNet, 0.25),
    "mobilenet_v2_0.35": (keras.applications.MobileNetV2, 0.35),
    "mobilenet_v2_1.0": (keras.applications.MobileNetV2, 1.0),
}


@pytest.fixture(scope="module")
def photos(assets):
    files = sorted((assets / "data" / "hymenoptera" / "train" / "ants").iterdir())[:12]
    images = [keras.utils.load_img(file, target_size=(224, 224)) for file in files]
    return np.stack([np.asarray(image) for image in images]).astype("float32") / 127.5 - 1


def network(assets, name):
    kind, alpha = NETWORKS[name]
    model = kind(alpha=alpha, weights=None, include_top=False, input_shape=(224, 224, 3))
    model.load_weights(assets / "weights" / f"{name}_224_no_top.weights.h5")
    return model


@pytest.mark.assets
@pytest.mark.parametrize("name", NETWORKS)
def test_fused_unfused_and_folded_it_sees_the_same(assets, photos, name):
    model = network(assets, name)
    wanted = np.asarray(model(photos))
    fused = fuse(model)
    np.testing.assert_allclose(fused(photos), wanted, atol=1e-4 * wanted.max())
    np.testing.assert_allclose(unfuse(fused)(photos), wanted, atol=1e-6 * wanted.max())
    folded, report = fold_batch_norm(model)
    assert not report.kept
    np.testing.assert_allclose(folded(photos), wanted, atol=1e-3 * wanted.max())


@pytest.mark.assets
def test_calibrated_features_are_nearer_to_the_old_ones_than_those_of_a_plain_swap(assets, photos):
    model = network(assets, "mobilenet_v1_0.25")
    wanted = np.asarray(model(photos)).mean((1, 2))

    def error(other):
        return np.square(np.asarray(other(photos)).mean((1, 2)) - wanted).mean()

    plain, _ = swap_norm(model, "layer")
    calibrated, _ = swap_norm(model, "layer", calibrate=photos)
    assert error(calibrated) < 0.5 * error(plain)
