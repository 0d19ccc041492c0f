"""What is peculiar to each layer; what they share is in tests/test_techniques.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.activations import RandomizedLeakyReLU
from tlkit.layers import (
    DropConnectConv2D,
    DropConnectDense,
    FractionalMaxPooling2D,
    LocalResponseNormalization,
    ResidualShrinkageBlock,
    SoftThreshold,
    StochasticDepth,
    WeightStandardizedConv2D,
)
from tlkit.layers.stochastic_depth import linear_rates

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("make", [
    lambda: DropConnectDense(40, rate=0.3, use_bias=False),
    lambda: DropConnectConv2D(40, 1, rate=0.3, use_bias=False),
], ids=["dense", "conv"])  # fmt: skip
def test_drop_connect_drops_entries_of_the_kernel_the_same_for_all_images(make):
    layer = make()
    # one-hot inputs show the kernel's rows one by one
    x = np.eye(50, dtype="float32")
    x = x[:, None, None, :] if layer.__class__ is DropConnectConv2D else x
    plain = np.asarray(layer(x)).reshape(50, 40)
    first, second = (np.asarray(layer(x, training=True)).reshape(50, 40) for _ in range(2))
    kept = first != 0
    assert kept.mean() == pytest.approx(0.7, abs=0.05)  # 5 standard deviations of 2000 entries
    np.testing.assert_allclose(first[kept], plain[kept] / 0.7, rtol=1e-5)
    assert (kept != (second != 0)).mean() > 0.3  # drawn anew: 2 * 0.3 * 0.7 expected
    # the same mask for every image of a batch
    twice = np.concatenate([x, x])
    both = np.asarray(layer(twice, training=True)).reshape(2, 50, 40)
    np.testing.assert_array_equal(both[0], both[1])


def test_drop_connect_keeps_the_expected_output():
    layer, x = DropConnectDense(8, rate=0.5, seed=1), RNG.normal(size=(3, 64)).astype("float32")
    mean = np.mean([layer(x, training=True) for _ in range(600)], axis=0)
    spread = np.std([layer(x, training=True) for _ in range(50)])
    np.testing.assert_allclose(mean, layer(x), atol=5 * spread / np.sqrt(600))


def test_stochastic_depth_drops_whole_images_and_keeps_the_expectation():
    x = RNG.uniform(1, 2, (2000, 3, 3, 2)).astype("float32")
    y = np.asarray(StochasticDepth(rate=0.25, seed=0)(x, training=True))
    dropped = (y == 0).all((1, 2, 3))
    assert dropped.mean() == pytest.approx(0.25, abs=0.04)  # 4 standard deviations
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.75, rtol=1e-6)
    assert y.mean() == pytest.approx(x.mean(), rel=0.05)


def test_the_rates_of_branches_rise_linearly_to_the_last():
    # Huang et al. 2016, equation 4, p_l = 1 - l / L (1 - p_L), with p_L = 0.5 and L = 54
    assert linear_rates(0.5, 54) == pytest.approx([0.5 * level / 54 for level in range(1, 55)])


def test_fractional_pooling_has_the_size_and_regions_of_tensorflows_kernel():
    x = RNG.normal(size=(2, 25, 18, 3)).astype("float32")
    for overlapping in (True, False):
        layer = FractionalMaxPooling2D(ratio=1.44, overlapping=overlapping, seed=5)
        got = np.asarray(layer(x, training=True))
        kernel = tf.nn.fractional_max_pool(
            x, [1.0, 1.44, 1.44, 1.0], pseudo_random=True, overlapping=overlapping, seed=1
        )
        assert got.shape == kernel.output.shape == (2, 17, 12, 3)
        # the kernel's own regions give the kernel's own values by our pooling
        rows, columns = (tf.cast(s, tf.int32) for s in (kernel[1], kernel[2]))
        ours = layer._pool(layer._pool(tf.constant(x), 1, rows, 2), 2, columns, 2)
        np.testing.assert_array_equal(ours, kernel.output)


@pytest.mark.parametrize("mode", ["random", "pseudo-random"])
@pytest.mark.parametrize(("before", "ratio"), [(25, 1.44), (10, 1.8), (224, 1.1), (7, 1.5)])
def test_the_regions_of_fractional_pooling_are_short_or_long_and_vary(mode, before, ratio):
    layer = FractionalMaxPooling2D(ratio=ratio, mode=mode, seed=2)
    after = int(before / ratio)
    draws = [np.asarray(layer._edges(before, after, True)) for _ in range(40)]
    least = before // after
    for edges in draws:
        steps = np.diff(edges)
        assert edges[0] == 0 and edges[-1] == before and len(edges) == after + 1
        assert set(steps) <= {least, least + 1}
    if before % after:
        assert len({tuple(edges) for edges in draws}) > 2
    if mode == "pseudo-random" and before == 25:
        # Graham 2014: a_i = ceil(alpha (i + u)); steps of 25 / 17 never come twice as 1
        assert all("1111" not in "".join(map(str, np.diff(e))) for e in draws)


def test_lrn_is_tensorflows():
    x = RNG.normal(0, 20, (2, 4, 5, 9)).astype("float32")
    got = LocalResponseNormalization(size=5, k=2.0, alpha=1e-3, beta=0.6)(x)
    expected = tf.nn.local_response_normalization(x, 2, bias=2.0, alpha=1e-3, beta=0.6)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_lrn_of_large_half_precision_values_is_finite():
    layer = LocalResponseNormalization(dtype="float16")
    assert np.isfinite(np.asarray(layer(np.full((1, 2, 2, 4), 3000, "float16")))).all()


def test_randomised_slopes_are_uniform_and_drawn_for_each_value():
    slopes = -np.asarray(RandomizedLeakyReLU(seed=0)(-np.ones((100, 100)), training=True))
    assert slopes.min() >= 1 / 8 and slopes.max() <= 1 / 3
    assert slopes.mean() == pytest.approx((1 / 8 + 1 / 3) / 2, abs=0.003)
    assert slopes.std() == pytest.approx((1 / 3 - 1 / 8) / 12**0.5, rel=0.03)


def test_the_learned_threshold_finds_the_noise():
    signal = np.where(RNG.random((2000, 1)) < 0.1, 5.0, 0.0)
    noisy = (signal + RNG.uniform(-0.5, 0.5, signal.shape)).astype("float32")
    layer = SoftThreshold(threshold=0.01)
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    before = model.evaluate(noisy, signal, verbose=0)
    model.fit(noisy, signal, epochs=10, batch_size=100, verbose=0)
    assert model.evaluate(noisy, signal, verbose=0) < before
    assert 0.05 < float(layer.tau[0]) < 0.6


@pytest.mark.parametrize("threshold", [0.0, 1e-30, 1.0, 100.0, 1e30])
def test_a_threshold_of_any_size_is_taken_as_it_is_and_learns(threshold):
    layer = SoftThreshold(threshold=threshold)
    x = np.array([[-3.0 - 3 * threshold, 0.5 * threshold, 2 * threshold + 5]], "float32")
    exact = np.sign(x) * np.maximum(np.abs(x) - np.float32(threshold), 0)
    np.testing.assert_array_equal(layer(x), exact)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x))
    # each value beyond the threshold moves with it
    np.testing.assert_array_equal(tape.gradient(total, layer.tau.value), -np.sign(exact[0]))


def test_a_threshold_of_zero_grows_and_one_that_is_too_large_falls_and_none_is_negative():
    x = RNG.normal(0, 100, (64, 1)).astype("float32")
    for start, goal in ((0.0, 5.0), (30.0, 5.0), (0.1, -5.0)):
        layer, optimizer = SoftThreshold(threshold=start), keras.optimizers.SGD(0.5)
        layer.build(x.shape)
        wanted = np.sign(x) * (np.abs(x) - goal)
        for _ in range(40):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(x) - wanted))
            variables = layer.trainable_variables
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        assert float(layer.tau[0]) == pytest.approx(max(goal, 0), abs=1.0)
        assert float(layer.tau[0]) >= 0


@pytest.mark.parametrize("thresholds", ["channel", "shared"])
def test_a_shrinkage_block_starts_as_the_identity_and_then_shrinks(thresholds):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    block, x = ResidualShrinkageBlock(thresholds=thresholds), rng.normal(size=(2, 6, 6, 5))
    x = x.astype("float32")
    with tf.GradientTape() as tape:
        y = block(x, training=True)
        loss = tf.reduce_sum(y**3)
    np.testing.assert_allclose(y, x, atol=1e-2)
    gradients = tape.gradient(loss, block.trainable_variables)
    for variable, gradient in zip(block.trainable_variables, gradients, strict=True):
        # what feeds a BatchNorm has no gradient but rounding
        assert variable.path.endswith("reduce/bias") or np.abs(gradient).max() > 0, variable.path
    block.convolutions[1].kernel.assign(rng.normal(size=(3, 3, 5, 5)))
    branch = np.asarray(block(x)) - x
    assert (branch == 0).mean() > 0.01  # soft thresholding makes whole places zero
    assert block.expand.kernel.shape[-1] == (5 if thresholds == "channel" else 1)


def test_a_standardised_kernel_has_mean_0_and_the_gain_as_deviation():
    layer = WeightStandardizedConv2D(6, 3)
    layer.build((None, 8, 8, 4))
    layer.scale.assign(np.arange(1, 7))
    kernel = np.asarray(layer.standardized_kernel())
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(kernel.std((0, 1, 2)), np.arange(1, 7), rtol=1e-5)
    layer.kernel.assign(np.asarray(layer.kernel) * 7 + 3)
    np.testing.assert_allclose(layer.standardized_kernel(), kernel, rtol=1e-4, atol=1e-5)
    layer.keep_scale()
    raw = np.asarray(layer.kernel)
    np.testing.assert_allclose(
        layer.standardized_kernel(), raw - raw.mean((0, 1, 2)), rtol=1e-4, atol=1e-5
    )


def test_gradients_flow_through_the_standardisation():
    # Qiao et al. 2019, equation 8: the gradient of the raw kernel has mean 0 for each output
    layer, x = WeightStandardizedConv2D(6, 3, gain=False), RNG.normal(size=(2, 8, 8, 4))
    layer.build((None, 8, 8, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(x.astype("float32"))) * [1.0, 2, 3, 4, 5, 6])
    gradient = np.asarray(tape.gradient(loss, layer.kernel.value))
    assert np.abs(gradient).max() > 1e-2
    np.testing.assert_allclose(gradient.mean((0, 1, 2)), 0, atol=1e-4 * np.abs(gradient).max())


def test_lrn_keeps_a_gradient_where_squares_or_powers_overflow():
    for layer, scale in ((LocalResponseNormalization(), 1e25),
                         (LocalResponseNormalization(beta=200.0), 1.0)):  # fmt: skip
        x = tf.constant(RNG.normal(size=(2, 3, 3, 6)).astype("float32") * np.float32(scale))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        assert np.isfinite(y).all() and np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("kind", ["lrn", "weights"])
def test_float64_is_computed_in_float64(kind):
    x = RNG.normal(size=(2, 6, 6, 6))
    layer = (
        LocalResponseNormalization(alpha=0.1, dtype="float64")
        if kind == "lrn"
        else WeightStandardizedConv2D(3, 1, gain=False, dtype="float64")
    )
    got = np.asarray(layer(x))
    if kind == "lrn":
        padded = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (2, 2)))
        exact = x / (2 + 0.1 * sum(padded[..., i : i + 6] for i in range(5))) ** 0.75
    else:
        kernel = np.asarray(layer.kernel)[0, 0]
        exact = x @ ((kernel - kernel.mean(0)) / np.sqrt(kernel.var(0) + 1e-10))
    np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-12)


def test_a_kernel_without_variance_cannot_be_standardised():
    with pytest.raises(ValueError, match=r"no variance.*\(1, 1, 1, 4\)"):
        WeightStandardizedConv2D(4, 1)(np.ones((1, 3, 3, 1), "float32"))
