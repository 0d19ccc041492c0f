"""Fused, unfused and folded, every backbone of Keras gives what it gave.

One of each family by default; `pytest --exhaustive tests/surgery` takes all of them.
"""

import keras
import numpy as np
import pytest

from tests.conftest import FAMILIES
from tlkit.backbones import spec as specs
from tlkit.layers import FusedBatchNormalization
from tlkit.surgery import fold_batch_norm, fuse, recalibrate_batch_norm, unfuse

# BatchNorm with no kernel right before it: it follows a sum, a concatenation or an activation
PRE_ACTIVATION = ("densenet", "nasnet", "resnet50_v2", "resnet101_v2", "resnet152_v2")


def norms(model):
    return [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in specs.names() if n != "tiny"])
def test_the_network_answers_as_before(name, request):
    if name not in FAMILIES and not request.config.getoption("--exhaustive"):
        pytest.skip("only with --exhaustive")
    spec = specs.find(name)
    side = max(spec.minimum_size, 64)
    model = spec.build(input_shape=(side, side, 3), weights=None, include_top=False)
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (4, side, side, 3)).astype("float32")
    for layer in norms(model):
        for v in layer.trainable_variables:
            v.assign(v + rng.normal(0, 0.1, v.shape))
    # statistics of their own, as a trained network has: with random ones the values of deep
    # networks grow until rounding decides them, and so they do where a variance is near zero
    if norms(model):
        model = recalibrate_batch_norm(model, images)
    for layer in norms(model):
        layer.moving_variance.assign(layer.moving_variance + 0.5 * np.mean(layer.moving_variance))
    wanted = np.asarray(model(images, training=False))
    size = np.abs(wanted).max()
    assert size > 0

    fused = fuse(model)
    found = norms(fused)
    assert all(type(layer) is FusedBatchNormalization for layer in found)
    assert len(found) == len(norms(model))
    np.testing.assert_allclose(fused(images, training=False), wanted, atol=2e-4 * size)
    back = unfuse(fused)
    del fused
    np.testing.assert_allclose(back(images, training=False), wanted, atol=1e-6 * size)
    del back
    folded, report = fold_batch_norm(model)
    np.testing.assert_allclose(folded(images, training=False), wanted, atol=1e-3 * size)
    assert len(report.folded) + len(report.kept) == len(found)
    assert {layer.name for layer in norms(folded)} == set(report.kept)
    if found and not name.startswith(PRE_ACTIVATION):
        assert len(report.folded) > 0.9 * len(found)
