import keras
import numpy as np
import pytest

from tlkit.features.split_network import flatten_model
from tlkit.surgery import fold_batch_norm
from tlkit.surgery.fold_batch_norm import folded_in_place
from tlkit.surgery.fuse import fuse_in_place

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 255, (2, 64, 64, 3)).astype("float32")


def unsettle(model):
    """Statistics and scales that are not trivial."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            unsettle(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for v in layer.weights:
                low = 0.5 if v.name in ("gamma", "moving_variance") else -0.3
                v.assign(RNG.uniform(low, 1.2, v.shape))
    return model


@pytest.mark.parametrize(
    ("name", "kept"), [("MobileNetV2", 0), ("ResNet50", 0), ("Xception", 0), ("ResNet50V2", None)]
)
def test_a_folded_network_gives_the_same(name, kept):
    size = 96 if name == "Xception" else 64
    image = IMAGE if size == 64 else np.tile(IMAGE, (1, 2, 2, 1))[:, :96, :96]
    model = unsettle(
        getattr(keras.applications, name)(
            weights=None, include_top=False, input_shape=(size, size, 3)
        )
    )
    expected = np.asarray(model(image))
    folded, report = fold_batch_norm(model)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    left = [x.name for x in folded.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(report.folded) + len(report.kept) == len(norms)
    assert left == list(report.kept)
    if kept is not None:
        assert len(left) == kept
    else:
        # before an activation and a convolution there is no kernel to fold into
        assert left and all("which has no kernel" in why or "elsewhere" in why
                            for why in report.kept.values())  # fmt: skip
    scale = np.abs(expected).max()
    np.testing.assert_allclose(folded(image), expected, atol=2e-5 * scale)
    np.testing.assert_array_equal(model(image), expected)


def test_dense_layers_fold_and_what_cannot_is_said():
    inputs = keras.Input((5,))
    dense = keras.layers.Dense(4, use_bias=False, name="dense")(inputs)
    x = keras.layers.BatchNormalization(name="after_dense", scale=False)(dense)
    x = keras.layers.Dense(3, activation="relu", name="bent")(x)
    x = keras.layers.BatchNormalization(name="after_relu")(x)
    shared = keras.layers.Dense(3, name="shared")(x)
    y = keras.layers.BatchNormalization(name="after_shared")(shared)
    model = unsettle(keras.Model(inputs, [y, shared]))
    folded, report = fold_batch_norm(model)
    assert report.folded == {"after_dense": "dense"}
    assert "activation between" in report.kept["after_relu"]
    assert "used elsewhere" in report.kept["after_shared"]
    assert "1 BatchNorm layers folded, 2 kept" in str(report)
    x = RNG.normal(size=(6, 5)).astype("float32")
    for a, b in zip(model(x), folded(x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="is a subclassed model"):
        fold_batch_norm(Own())


def test_layers_that_other_models_call_too_are_folded():
    base = unsettle(
        keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    )
    image = keras.Input((64, 64, 3))
    flat = flatten_model(keras.Model(image, base(keras.layers.Rescaling(1 / 255)(image))))
    folded, report = fold_batch_norm(flat)
    assert (len(report.folded), report.kept) == (52, {})
    expected = np.asarray(flat(IMAGE))
    np.testing.assert_allclose(folded(IMAGE), expected, atol=2e-5 * np.abs(expected).max())


def test_folded_in_place_while_it_is_traced_and_as_before_after_it():
    model = unsettle(
        keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    )
    release = fuse_in_place(model.get_layer("bn_Conv1"), frozen=True)
    expected = np.asarray(model(IMAGE))
    with folded_in_place(model) as kernels:
        assert len(kernels) == 52
        with keras.StatelessScope([(v, keras.ops.convert_to_tensor(x)) for v, x in kernels]):
            found = np.asarray(model(IMAGE))
        assert not np.allclose(model(IMAGE), expected)  # without the scales
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(model(IMAGE), expected)
    assert "call" in vars(model.get_layer("bn_Conv1"))
    release()
    assert not any("call" in vars(layer) for layer in model.layers)


def test_what_two_models_inside_share_is_not_folded():
    conv = keras.layers.Conv2D(4, 3, name="shared", use_bias=False)
    norm = keras.layers.BatchNormalization(name="one")
    x = keras.Input((8, 8, 3))
    with_norm = keras.Model(x, norm(conv(x)), name="with_norm")
    y = keras.Input((8, 8, 3))
    without = keras.Model(y, conv(y), name="without")
    image = keras.Input((8, 8, 3))
    twice = keras.layers.add([with_norm(image), with_norm(-image), without(image)])
    model = unsettle(keras.Model(image, twice))
    pixels = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    expected = np.asarray(model(pixels))
    _, report = fold_batch_norm(model)
    assert list(report.kept) == ["one"]
    with folded_in_place(model) as kernels:
        assert kernels == []
        np.testing.assert_array_equal(model(pixels), expected)
