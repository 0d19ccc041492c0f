"""Another normalisation in the place of the old one."""

import keras
import numpy as np
import pytest

from tlkit.surgery import swap_norm
from tlkit.surgery.calibrate import Moments, distill_norms
from tlkit.surgery.swap_norm import nearest_divisor

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(1, 2, (24, 12, 12, 3)).astype("float32")


def randomized(model, seed=1):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomized(layer, seed + 1)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for v in layer.weights:
                v.assign(rng.uniform(0.5, 1.5, v.shape))
            if layer.scale:
                layer.gamma.assign(rng.choice([-1, 1], layer.gamma.shape) * layer.gamma)
    return model


def network(width=8, **options):
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(width, 3, name="conv_1")(inputs)
    x = keras.layers.BatchNormalization(name="norm_1", **options)(x)
    inner_in = keras.Input((10, 10, width))
    y = keras.layers.Conv2D(6, 3, name="conv_2")(keras.layers.ReLU()(inner_in))
    inner = keras.Model(inner_in, keras.layers.BatchNormalization(name="norm_2")(y), name="inner")
    return randomized(keras.Model(inputs, inner(x), name="small"))


def tap(model, name):
    """The output of a layer, in a nested model too."""
    if name == "norm_1":
        return np.asarray(keras.Model(model.input, model.get_layer(name).output)(IMAGES))
    return np.asarray(model(IMAGES))


@pytest.mark.parametrize("to", ["group", "layer", "instance"])
def test_calibrated_every_channel_has_the_old_mean_and_variance(to):
    model = network()
    before = [np.array(v) for v in model.weights]
    new, report = swap_norm(model, to, groups=2, calibrate=IMAGES, batch_size=7)
    for name in ("norm_1", "norm_2"):
        old_out, new_out = tap(model, name), tap(new, name)
        np.testing.assert_allclose(new_out.mean((0, 1, 2)), old_out.mean((0, 1, 2)), atol=1e-3)
        np.testing.assert_allclose(new_out.std((0, 1, 2)), old_out.std((0, 1, 2)), rtol=1e-2)
    # the sign of gamma is kept, so that channels are not turned over
    assert (
        np.sign(new.get_layer("norm_1").gamma) == np.sign(model.get_layer("norm_1").gamma)
    ).all()
    groups = {"group": 2, "layer": 1, "instance": 8}[to]
    assert type(new.get_layer("norm_1")) is keras.layers.GroupNormalization
    assert new.get_layer("norm_1").groups == groups
    assert report.swapped["norm_1"] == f"BatchNorm to GroupNorm({groups})"
    for a, b in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    if to == "instance":
        return  # its means over the places are the same for all images
    pooled = [tap(m, "norm_2").mean((1, 2)) for m in (model, new)]
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(p.T for p in pooled), strict=True)]
    assert report.agreement == pytest.approx(np.mean(correlations), abs=1e-3)


def test_what_is_carried_over_without_images():
    model = network(scale=False)
    new, report = swap_norm(model, "group", groups=2)
    np.testing.assert_array_equal(new.get_layer("norm_1").gamma, np.ones(8))
    np.testing.assert_array_equal(new.get_layer("norm_1").beta, model.get_layer("norm_1").beta)
    np.testing.assert_array_equal(new.get_layer("conv_1").kernel, model.get_layer("conv_1").kernel)
    assert report.agreement is None


def test_groups_that_do_not_divide_get_the_nearest_divisor_and_the_report_says_so():
    assert [nearest_divisor(c, 16) for c in (8, 24, 32, 37, 144, 17)] == [8, 12, 16, 1, 16, 17]
    new, report = swap_norm(network(), "group", groups=4)
    assert new.get_layer("norm_1").groups == 4
    assert new.get_layer("inner").get_layer("norm_2").groups == 3
    assert report.notes == ["norm_2: 4 groups do not divide 6 channels, so 3"]
    assert "4 groups do not divide 6 channels" in str(report)


def test_to_group_norm_and_back_by_images_is_batch_norm_again():
    model = network()
    # the same statistics as the images have
    from tlkit.surgery import recalibrate_batch_norm

    model = recalibrate_batch_norm(model, IMAGES)
    there, _ = swap_norm(model, "instance", calibrate=IMAGES)
    back, report = swap_norm(there, "batch", calibrate=IMAGES)
    layer = back.get_layer("norm_1")
    assert type(layer) is keras.layers.BatchNormalization
    assert report.swapped["norm_1"] == "GroupNorm(8) to BatchNorm"
    out, wanted = tap(back, "norm_1"), tap(model, "norm_1")
    np.testing.assert_allclose(out, wanted, atol=2e-2)
    with pytest.raises(ValueError, match="'norm_1' has no moving statistics"):
        swap_norm(there, "batch")


def test_frozen_batch_norm_answers_as_before_and_keeps_its_statistics():
    model = network()
    new, _ = swap_norm(model, "frozen-batch")
    np.testing.assert_allclose(new(IMAGES, training=True), model(IMAGES), atol=1e-5)
    assert not new.get_layer("norm_1").trainable_variables


def test_only_the_layers_meant():
    new, report = swap_norm(network(), "group", groups=2, layers=["_1$"], calibrate=IMAGES)
    assert list(report.swapped) == ["norm_1"]
    inner = new.get_layer("inner").get_layer("norm_2")
    assert type(inner) is keras.layers.BatchNormalization
    with pytest.raises(ValueError, match="'small' has no normalisation layer that is meant"):
        swap_norm(network(), "group", layers=["nothing"])


def test_distilling_finds_the_old_scales_again():
    model = network()
    new, _ = swap_norm(model, "frozen-batch")
    names = {"norm_1", "norm_2"}
    inner = new.get_layer("inner").get_layer("norm_2")
    for layer in (new.get_layer("norm_1"), inner):
        layer.trainable = True
        layer.gamma.assign(layer.gamma + RNG.normal(0, 0.03, layer.gamma.shape))
        layer.beta.assign(layer.beta + RNG.normal(0, 0.03, layer.beta.shape))
    kernel = np.array(new.get_layer("conv_1").kernel)
    before = np.square(tap(new, "norm_2") - tap(model, "norm_2")).mean()
    reached = distill_norms(model, new, names, IMAGES, steps=200, batch_size=12)
    after = np.square(tap(new, "norm_2") - tap(model, "norm_2")).mean()
    assert after < 0.2 * before
    assert reached > 0.99
    np.testing.assert_array_equal(new.get_layer("conv_1").kernel, kernel)


def test_what_cannot_be_swapped_is_kept_and_said():
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization(name="a")(inputs))
    flat = keras.layers.BatchNormalization(name="flat")(x)
    several = keras.layers.LayerNormalization(axis=[1, 2, 3], name="several")(inputs)
    model = keras.Model(inputs, keras.layers.Concatenate()([flat, keras.layers.Flatten()(several)]))
    _, report = swap_norm(model, "group", groups=3, calibrate=IMAGES)
    assert list(report.swapped) == ["a"]
    assert report.kept == {
        "flat": "has no places beside its channels to normalise over",
        "several": "normalises several axes, (1, 2, 3)",
    }


def test_channels_first_and_three_dimensions():
    inputs = keras.Input((12, 12, 4))
    x = keras.layers.BatchNormalization(axis=1, name="first")(inputs)
    x = keras.layers.Reshape((4, 3, 12, 4))(x)
    model = randomized(keras.Model(inputs, keras.layers.BatchNormalization(name="deep")(x)))
    images = RNG.normal(3, 2, (16, 12, 12, 4)).astype("float32")
    new, report = swap_norm(model, "group", groups=2, calibrate=images)
    assert new.get_layer("first").axis == 1
    assert len(report.swapped) == 2
    out, wanted = np.asarray(new(images)), np.asarray(model(images))
    np.testing.assert_allclose(out.mean((0, 1, 2, 3)), wanted.mean((0, 1, 2, 3)), atol=2e-3)


def test_a_norm_used_twice_stays_one_and_the_report_says_so():
    shared = keras.layers.BatchNormalization(name="shared")
    inputs = keras.Input((12, 12, 3))
    model = randomized(keras.Model(inputs, shared(keras.layers.ReLU()(shared(inputs)))))
    new, report = swap_norm(model, "group", groups=3, calibrate=IMAGES)
    assert len(new.get_layer("shared")._inbound_nodes) == 2
    assert report.notes == ["shared: used more than once, calibrated at its first use"]


def test_bad_input_is_said():
    class Own(keras.Model):
        pass

    class Unclonable(keras.layers.Layer):
        def __init__(self, needed, **kwargs):
            super().__init__(**kwargs)

        def call(self, x):
            return x

    with pytest.raises(ValueError, match="subclassed"):
        swap_norm(Own(), "group")
    with pytest.raises(ValueError, match=r"'groop'.*group, layer, instance, batch, frozen-batch"):
        swap_norm(network(), "groop")
    with pytest.raises(ValueError, match="no images"):
        swap_norm(network(), "group", calibrate=IMAGES[:0])
    with pytest.raises(ValueError, match=r"\(9, 9, 3\) do not fit the model, .* \(12, 12, 3\)"):
        swap_norm(network(), "group", calibrate=np.zeros((2, 9, 9, 3)))
    with pytest.raises(ValueError, match="needs images"):
        swap_norm(network(), "group", distill=3)
    with pytest.raises(ValueError, match="1 or more; found 0"):
        swap_norm(network(), "group", groups=0)
    inputs = keras.Input((12, 12, 3))
    x = Unclonable(object(), name="mine")(keras.layers.BatchNormalization()(inputs))
    with pytest.raises(ValueError, match=r"'mine' .*Unclonable.* cannot be copied"):
        swap_norm(keras.Model(inputs, x), "group", groups=3)


def test_moments_are_exact_for_large_means():
    x = RNG.normal(0, 1, (50, 8, 3)) + 1e4
    found = Moments(-1)
    found.add(x[:20].astype("float32"))
    found.add(x[20:].astype("float32"))
    mean, variance = found.result()
    np.testing.assert_allclose(mean, x.mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(variance, x.var((0, 1)), rtol=1e-3)
