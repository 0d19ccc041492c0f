import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.registry import REGULARIZERS
from tlkit.regularizers import L2SP, Mixout, SoftWeightSharing, regularize
from tlkit.regularizers.apply import choose

RNG = np.random.default_rng(0)
W, W0 = RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=(4, 3)).astype("float32")


def mixture(w, means, deviations, shares):
    each = np.exp(-0.5 * ((w.reshape(-1, 1) - means) / deviations) ** 2)
    return -np.log((shares * each / (deviations * np.sqrt(2 * np.pi))).sum(1)).sum()


FORMULAS = {
    "l1": ({"strength": 0.1}, 0.1 * np.abs(W).sum()),
    "l2": ({"strength": 0.1}, 0.05 * (W**2).sum()),
    "elastic_net": ({"l1": 0.1, "l2": 0.2}, 0.1 * np.abs(W).sum() + 0.1 * (W**2).sum()),
    "l2_sp": ({"alpha": 0.1}, 0.05 * ((W - W0) ** 2).sum()),
    "soft_weight_sharing": (
        {"components": 3, "strength": 0.5, "spread": 0.4},
        0.5 * mixture(W, np.array([-0.4, 0, 0.4]), 0.4, 1 / 3),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_it_is_its_formula_and_its_gradient_the_slope(name):
    arguments, expected = FORMULAS[name]
    made = REGULARIZERS.make(name, {"start": W0, "unit_axes": [0]}, **arguments)
    np.testing.assert_allclose(made(tf.constant(W)), expected, rtol=1e-5)
    direction, h = RNG.normal(size=W.shape).astype("float32"), 1e-2
    with tf.GradientTape() as tape:
        at = tf.constant(W)
        tape.watch(at)
        value = made(at)
    slope = float((np.asarray(tape.gradient(value, at)) * direction).sum())
    difference = float(made(W + h * direction) - made(W - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, difference, rtol=2e-2)
    again = type(made).from_config(made.get_config())
    np.testing.assert_allclose(again(tf.constant(W)), expected, rtol=1e-5)


def test_every_regularizer_has_its_formula_or_a_test_of_its_own():
    assert set(REGULARIZERS) == set(FORMULAS) | {"max_norm", "mixout"}


def test_the_gradient_of_l2_is_strength_times_the_weight():
    made = REGULARIZERS.build("l2", strength=0.3)
    with tf.GradientTape() as tape:
        at = tf.constant(W)
        tape.watch(at)
        value = made(at)
    np.testing.assert_allclose(tape.gradient(value, at), 0.3 * W, rtol=1e-5)


def test_l2_sp_draws_new_weights_to_zero():
    np.testing.assert_allclose(
        L2SP(None, alpha=9.0, beta=0.1)(tf.constant(W)), 0.05 * (W**2).sum(), rtol=1e-5
    )


def test_max_norm_limits_each_unit():
    limit = REGULARIZERS.make("max_norm", {"unit_axes": [0]}, value=1.0)
    lengths = np.linalg.norm(np.asarray(limit(tf.constant(W))), axis=0)
    np.testing.assert_allclose(lengths, np.minimum(np.linalg.norm(W, axis=0), 1), rtol=1e-4)


def test_the_mixture_finds_two_planted_clusters_and_gathers_the_weights():
    planted = np.where(RNG.random(400) < 0.5, -0.5, 0.3) + RNG.normal(0, 0.1, 400)
    weights = keras.Variable(planted.astype("float32"))
    sharing = SoftWeightSharing(components=2, strength=1.0, spread=0.2, least_deviation=0.02)
    trained = [weights, *sharing.variables]
    optimizer = keras.optimizers.Adam(0.005)
    optimizer.build(trained)
    for _ in range(400):
        with tf.GradientTape() as tape:
            # the data hold the weights near where they were planted
            loss = sharing(weights) + 50 * tf.reduce_sum((weights.value - planted) ** 2)
        optimizer.apply(tape.gradient(loss, [v.value for v in trained]), trained)
    np.testing.assert_allclose(np.sort(sharing.means), [-0.5, 0.3], atol=0.03)
    low = np.asarray(weights)[planted < -0.1]
    assert low.std() < 0.95 * planted[planted < -0.1].std()


def test_mixout_swaps_back_at_the_rate_and_keeps_the_expectation():
    w, w0 = np.full((200, 50), 2.0, "float32"), np.full((200, 50), 0.5, "float32")
    mix = Mixout(w0, rate=0.4, seed=0)
    got = np.asarray(mix(w))
    back = got < 1
    assert back.mean() == pytest.approx(0.4, abs=0.02)  # 4 standard deviations
    np.testing.assert_allclose(got[back], (0.5 - 0.4 * 0.5) / 0.6, rtol=1e-5)
    np.testing.assert_allclose(got[~back], (2 - 0.4 * 0.5) / 0.6, rtol=1e-5)
    assert got.mean() == pytest.approx(2.0, rel=0.02)
    assert (np.asarray(mix(w)) < 1).tolist() != back.tolist()


def loaded():
    """A network built without regularizers."""
    return keras.Sequential(
        name="net",
        layers=[
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="dense"),
        ],
    )


def test_regularizing_a_loaded_model_spares_biases_and_norms_unless_asked():
    model = loaded()
    names = [v.path for v in choose(model.trainable_variables, [], [])]
    assert names == [f"net/{layer}/kernel" for layer in ("conv", "depthwise", "dense")]
    assert [v.path for v in choose(model.trainable_variables, [], ["/conv/"])] == names[1:]
    asked = choose(model.trainable_variables, ["norm/gamma", "bias$"], ["dense"])
    assert [v.path for v in asked] == ["net/conv/bias", "net/depthwise/bias", "net/norm/gamma"]


def test_its_penalty_is_in_the_loss_of_plain_fit_and_can_be_taken_off():
    model, x, y = loaded(), RNG.normal(size=(16, 8, 8, 3)), np.zeros((16, 2))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    before = model.fit(x, y, verbose=0, batch_size=16).history["loss"][0]
    off = regularize(model, keras.regularizers.L2(0.5))
    total = 0.5 * sum((np.asarray(v) ** 2).sum() for v in model.trainable_variables
                      if v.name == "kernel")  # fmt: skip
    model.compile(keras.optimizers.SGD(0.0), "mse")
    during = model.fit(x, y, verbose=0, batch_size=16).history["loss"][0]
    assert during - before == pytest.approx(total, rel=1e-4)
    off()
    assert not model.losses
    with pytest.raises(ValueError, match="leave no weight"):
        regularize(model, keras.regularizers.L2(0.5), include=["nothing"])


def test_l2_sp_on_a_loaded_model_starts_at_zero():
    model = loaded()
    regularize(model, lambda v: L2SP(np.asarray(v), alpha=1.0))
    assert float(sum(model.losses)) == 0
    model.layers[0].kernel.assign(model.layers[0].kernel + 1.0)
    assert float(sum(model.losses)) == pytest.approx(0.5 * 3 * 3 * 3 * 4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: L2SP(W0, alpha=-1.0), "-1.0"),
        (lambda: Mixout(W0, rate=1.0), r"1\.0"),
        (lambda: SoftWeightSharing(components=0), "0"),
        (lambda: SoftWeightSharing(spread=-0.2), "-0.2"),
    ],
)
def test_bad_arguments_are_repeated_in_the_error(make, text):
    with pytest.raises(ValueError, match=text):
        make()
