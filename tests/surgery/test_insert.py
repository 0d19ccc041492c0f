import keras
import numpy as np
import pytest

from tlkit.layers import StochasticDepth
from tlkit.surgery import insert_layers, plain_model
from tlkit.surgery.insert import Insertion, residual_branches

# residual additions counted in the papers' tables: ResNet-50 has 3 + 4 + 6 + 3 blocks
BRANCHES = {
    "ResNet50": 16,
    "ResNet50V2": 16,
    "MobileNetV2": 10,
    "EfficientNetB0": 9,
    "ConvNeXtTiny": 18,
}
IMAGE = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


@pytest.fixture(scope="module", params=BRANCHES)
def network(request):
    model = getattr(keras.applications, request.param)(
        weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    # layer scale of 1e-6 would hide a branch
    for v in model.weights:
        if "layer_scale" in v.path:
            v.assign(np.full(v.shape, 0.5))
    return request.param, model


def test_stochastic_depth_goes_into_every_residual_branch_by_the_linear_rule(network):
    name, model = network
    before = np.asarray(model(IMAGE))
    assert len(residual_branches(model)) == BRANCHES[name]
    changed, new = insert_layers(model, [Insertion("stochastic_depth", {"rate": 0.5})])
    assert new == []
    drops = [
        layer
        for layer in changed.layers
        if isinstance(layer, StochasticDepth)
        or (isinstance(layer, keras.layers.Dropout) and layer.noise_shape)
    ]
    expected = [0.5 * level / BRANCHES[name] for level in range(1, BRANCHES[name] + 1)]
    assert sorted(layer.rate for layer in drops) == pytest.approx(expected)
    np.testing.assert_array_equal(changed(IMAGE), before)
    assert np.abs(np.asarray(changed(IMAGE, training=True)) - before).max() > 1e-4
    plain = plain_model(changed)
    assert not any(isinstance(layer, StochasticDepth) for layer in plain.layers)
    # training moved the statistics of BatchNorm, which the networks share
    np.testing.assert_allclose(plain(IMAGE), changed(IMAGE), rtol=1e-4, atol=1e-5)


def test_a_dropped_branch_leaves_the_skip_connection():
    inputs = keras.Input((4, 4, 2))
    branch = keras.layers.Conv2D(2, 3, padding="same", name="branch")(inputs)
    model = keras.Model(inputs, keras.layers.Add(name="sum")([branch, inputs]))
    # the linear rule gives the only branch the whole rate
    changed, _ = insert_layers(model, [Insertion("stochastic_depth", {"rate": 0.999999})])
    x = IMAGE[:, :4, :4, :2]
    np.testing.assert_array_equal(changed(x, training=True), x)


def test_weight_standardisation_keeps_the_kernels_but_for_their_means():
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = np.asarray(layer.kernel)
            layer.kernel.assign(kernel - kernel.mean((0, 1, 2)))
    changed, _ = insert_layers(model, [Insertion("weight_standardization", {"gain": True})])
    expected = np.asarray(model(IMAGE))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(changed(IMAGE), expected, atol=1e-4 * scale)
    plain = plain_model(changed)
    assert all("tlkit" not in type(layer).__module__ for layer in plain.layers)
    np.testing.assert_allclose(plain(IMAGE), expected, atol=1e-4 * scale)


@pytest.mark.parametrize("after", ["middle", None])
def test_a_layer_comes_after_the_named_one_or_at_the_end(after):
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 1, name="middle")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(5, 1, name="end")(x))
    changed, new = insert_layers(model, [Insertion("residual_shrinkage", {}, after)])
    assert [layer.name for layer in new] == ["inserted_0_residual_shrinkage"]
    assert new[0].input.shape[-1] == (4 if after else 5)
    # the block starts as the identity, but for a thousandth
    expected = np.asarray(model(IMAGE[:, :6, :6]))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(changed(IMAGE[:, :6, :6]), expected, atol=1e-2 * scale)
    assert "inserted_0_residual_shrinkage" not in [layer.name for layer in model.layers]


def test_what_cannot_be_inserted_is_said():
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, keras.layers.Flatten(name="flat")(inputs), name="small")
    with pytest.raises(ValueError, match="'small' has no residual branch"):
        insert_layers(model, [Insertion("stochastic_depth", {"rate": 0.1})])
    with pytest.raises(ValueError, match="no convolution"):
        insert_layers(model, [Insertion("weight_standardization", {})])
    with pytest.raises(ValueError, match=r"no layer 'flta'\. Did you mean 'flat'"):
        insert_layers(model, [Insertion("dropout", {"rate": 0.1}, "flta")])
