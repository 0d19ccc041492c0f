"""Optimizers with rules for each variable: against the plain optimizer, saved, and on two devices."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.optimizers.test_multipliers import variable
from tlkit.optimizers import adaptive_clip, with_adaptive_clipping, with_multipliers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 5)).astype("float32"), RNG.normal(size=(16, 3)).astype("float32")
KERNEL = RNG.normal(size=(4, 3)).astype("float32")
STEPS = [RNG.normal(size=(4, 3)).astype("float32") for _ in range(4)]
# those of Keras that take the steps themselves
OPTIMIZERS = sorted(
    name
    for name, kind in vars(keras.optimizers).items()
    if isinstance(kind, type)
    and issubclass(kind, keras.optimizers.Optimizer)
    and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
)


def make(name, rate=0.1, **more):
    return getattr(keras.optimizers, name)(learning_rate=rate, **more)


def walk(optimizer, variables, steps=STEPS):
    for step in steps:
        optimizer.apply([tf.constant(step)] * len(variables), variables)
    return [np.asarray(v) for v in variables]


def network():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5,), name="given")
    hidden = keras.layers.Dense(6, activation="tanh", name="body")(inputs)
    hidden = keras.layers.Dense(6, activation="tanh", name="held")(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(hidden))


def test_the_list_of_optimizers_is_keras_s():
    assert {"Muon", "Lion", "Lamb", "Adafactor", "Ftrl", "Nadam", "AdamW"} <= set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_keras_moves_each_variable_as_at_its_own_rate_decay_included(name):
    a, b, c = variable("slow", KERNEL), variable("fast", KERNEL), variable("held", KERNEL)
    optimizer = with_multipliers(make(name, weight_decay=0.2), {"^fast/": 3.0, "^held/": 0.0})
    slow, fast, held = walk(optimizer, [a, b, c])
    (expected,) = walk(make(name, 0.1, weight_decay=0.2), [variable("slow", KERNEL)])
    np.testing.assert_allclose(slow, expected, rtol=1e-5, atol=1e-6)
    (expected,) = walk(make(name, 0.1 * 3.0, weight_decay=0.2), [variable("fast", KERNEL)])
    np.testing.assert_allclose(fast, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(held, KERNEL)


@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_both_decays_of_muon_follow_the_rate(shape):
    start = np.ones(shape, "float32")
    decays = {"weight_decay": 0.5, "adam_weight_decay": 0.25}
    optimizer = with_multipliers(make("Muon", **decays), {"held": 0.0, "half": 0.5})
    steps = [np.zeros(shape, "float32")] * 2
    held, half, whole = walk(
        optimizer, [variable(n, start) for n in ("held", "half", "whole")], steps
    )
    np.testing.assert_array_equal(held, start)
    decay = decays["weight_decay" if len(shape) == 2 else "adam_weight_decay"]
    np.testing.assert_allclose(whole, (1 - 0.1 * decay) ** 2 * start, rtol=1e-6)
    np.testing.assert_allclose(half, (1 - 0.05 * decay) ** 2 * start, rtol=1e-6)


WAYS = {
    "adamw": lambda: make("AdamW", weight_decay=0.1),
    "sgd": lambda: make("SGD", momentum=0.9, nesterov=True),
    "muon": lambda: make("Muon", 0.01, adam_weight_decay=0.1),
    "nadam": lambda: make("Nadam", 0.01),
    "accumulating": lambda: make("Adam", gradient_accumulation_steps=2),
    "clipped": lambda: make("SGD", global_clipnorm=0.5),
    "averaged": lambda: make("AdamW", weight_decay=0.1, use_ema=True, ema_momentum=0.5),
    "scheduled": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.8)
    ),
    "loss scaled": lambda: keras.optimizers.LossScaleOptimizer(make("AdamW", weight_decay=0.1)),
}


def ruled(way):
    optimizer = with_multipliers(WAYS[way](), {"^held/": 0.0, "^body/": 0.5, "kernel$": 0.5})
    return with_adaptive_clipping(optimizer, 0.05, ["^head/", "bias$"])


@pytest.mark.parametrize("way", WAYS)
def test_a_model_saved_in_the_middle_trains_on_as_if_it_had_not_been(way, tmp_path):
    def fit(model, times):
        for _ in range(times):
            model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)

    whole, first = network(), network()
    start = [np.asarray(v) for v in whole.weights]
    for model in (whole, first):
        # compiling takes most of the time; one way is enough
        model.compile(ruled(way), "mse", run_eagerly=way != "adamw")
    fit(whole, 4)
    fit(first, 2)
    first.save(tmp_path / "model.keras")
    second = keras.models.load_model(tmp_path / "model.keras")
    second.run_eagerly = first.run_eagerly
    fit(second, 2)
    for got, expected in zip(second.weights, whole.weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    for i, v in enumerate(second.weights):
        moved = np.abs(np.asarray(v) - start[i]).max()
        # Keras's average of equal values is rounded
        assert moved < 1e-6 if v.path.startswith("held/") else moved > 1e-4, v.path
    ours, theirs = second.optimizer.variables, whole.optimizer.variables
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_a_configuration_makes_the_same_optimizer_again():
    optimizer = ruled("adamw")
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert isinstance(again, keras.optimizers.AdamW)
    assert again.rate_multipliers == {"^held/": 0.0, "^body/": 0.5, "kernel$": 0.5}
    (got,) = walk(with_multipliers(make("SGD"), {"x": 2.0}), [variable("x", KERNEL)])
    config = keras.optimizers.serialize(with_multipliers(make("SGD"), {"x": 2.0}))
    (again,) = walk(keras.optimizers.deserialize(config), [variable("x", KERNEL)])
    np.testing.assert_array_equal(got, again)


def test_what_is_spared_from_decay_stays_so_when_it_is_loaded(tmp_path):
    model = network()
    optimizer = make("AdamW", weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"], var_list=[model.layers[1].kernel])
    with_multipliers(optimizer, {"^held/": 0.5})
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ones = [np.ones(v.shape, "float32") for v in loaded.trainable_variables]
    for v, value in zip(loaded.trainable_variables, ones, strict=True):
        v.assign(value)
    loaded.optimizer.apply([tf.zeros(v.shape) for v in ones])
    decays = {v.path: 1 - float(np.mean(np.asarray(v))) for v in loaded.trainable_variables}
    expected = {"body/kernel": 0.0, "held/kernel": 0.025, "head/kernel": 0.05}
    for path, decay in decays.items():
        assert decay == pytest.approx(expected.get(path, 0.0), abs=1e-6), path


@keras.saving.register_keras_serializable("mine")
class Halving(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient / 2, variable, learning_rate)


def test_an_optimizer_of_the_user_s_own_can_be_saved_with_it(tmp_path):
    model = network()
    model.compile(with_multipliers(Halving(0.1), {"^held/": 0.0}), "mse")
    model.save(tmp_path / "model.keras")
    optimizer = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert isinstance(optimizer, Halving)
    assert optimizer.rate_multipliers == {"^held/": 0.0}


@pytest.mark.parametrize(
    ("policy", "compiled"), [("float32", True), ("mixed_float16", True), ("mixed_bfloat16", False)]
)
def test_it_trains_in_every_precision_and_compiled(policy, compiled):
    keras.config.set_dtype_policy(policy)
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    before = [np.asarray(v).astype("float32") for v in model.weights]
    model.compile(ruled("adamw"), "mse", jit_compile=compiled)
    model.fit(X, Y, batch_size=8, verbose=0)
    for v, old in zip(model.weights, before, strict=True):
        assert np.isfinite(np.asarray(v).astype("float32")).all()
        assert (np.asarray(v).astype("float32") == old).all() == v.path.startswith("held/"), v.path


def test_what_is_clipped_is_the_gradient_of_an_update():
    big = [50 * RNG.normal(size=KERNEL.shape).astype("float32") for _ in range(2)]
    optimizer = make("SGD", 1.0, gradient_accumulation_steps=2, loss_scale_factor=8.0)
    with_adaptive_clipping(optimizer, 0.1)
    (got,) = walk(optimizer, [variable("x", KERNEL)], [8 * g for g in big])
    clipped = adaptive_clip((big[0] + big[1]) / 2, KERNEL, 0.1)
    np.testing.assert_allclose(got, KERNEL - np.asarray(clipped), rtol=1e-4)


def test_clipping_asks_the_weights_before_decay():
    gradient = 50 * np.ones_like(KERNEL)
    optimizer = with_adaptive_clipping(make("SGD", 1.0, weight_decay=0.5), 0.1)
    (got,) = walk(optimizer, [variable("x", KERNEL)], [gradient])
    expected = KERNEL * (1 - 0.5) - np.asarray(adaptive_clip(gradient, KERNEL, 0.1))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_the_layers_of_a_model_tell_what_a_unit_is():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2DTranspose(3, 2, name="up", use_bias=False)(inputs)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="each", use_bias=False)(x)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, name="one", use_bias=False)(x))
    optimizer = with_adaptive_clipping(make("SGD", 1.0), 0.1, model=model)
    before = {v.path: np.asarray(v) for v in model.trainable_variables}
    optimizer.apply([tf.fill(v.shape, 100.0) for v in before.values()], model.trainable_variables)
    # axes of Keras's kernels: transposed (h, w, out, in), depthwise (h, w, channel, multiplier)
    over = {"up/kernel": (0, 1, 3), "each/kernel": (0, 1), "one/kernel": (0, 1, 2)}
    for v in model.trainable_variables:
        old = before[v.path]
        step = np.sqrt(((np.asarray(v) - old) ** 2).sum(over[v.path]))
        length = np.sqrt((old**2).sum(over[v.path]))
        np.testing.assert_allclose(step, 0.1 * length, rtol=1e-3)


def test_a_gradient_of_rows_is_clipped_as_the_matrix_it_stands_for():
    table = variable("x", KERNEL)
    optimizer = with_adaptive_clipping(make("SGD", 1.0), 0.1)
    rows = tf.IndexedSlices(tf.constant([[9.0, 9.0, 9.0]]), tf.constant([1]), KERNEL.shape)
    optimizer.apply([rows], [table])
    gradient = np.zeros_like(KERNEL)
    gradient[1] = 9.0
    np.testing.assert_allclose(
        table, KERNEL - np.asarray(adaptive_clip(gradient, KERNEL, 0.1)), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: with_multipliers(make("SGD"), {"x": float("nan")}), "nan"),
        (lambda: with_multipliers(make("SGD"), {"(": 1.0}), r"'\(' is not a regular expression"),
        (lambda: with_adaptive_clipping(make("SGD"), exclude=["("]), r"'\(' is not a regular"),
        (lambda: with_adaptive_clipping(make("SGD"), float("nan")), "nan"),
        (
            lambda: with_multipliers(
                keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(make("SGD"))), {}
            ),
            "optimizers that it is made of",
        ),
        (lambda: with_multipliers("adam", {}), "'adam' is not a Keras optimizer"),
    ],
)
def test_what_cannot_work_is_refused(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()


def test_a_pattern_that_matches_nothing_is_told_with_the_nearest_name():
    model = network()
    model.compile(with_multipliers(make("SGD"), {"^heads/kernel": 0.1}), "mse")
    with pytest.raises(ValueError, match=r"'\^heads/kernel' matches no .*mean 'head/kernel'"):
        model.fit(X, Y, verbose=0)
    assert not model.optimizer.built
    built = make("SGD")
    built.build([variable("x", KERNEL)])
    with pytest.raises(ValueError, match="matches no variable"):
        with_multipliers(built, {"y": 2.0})
    assert type(built) is keras.optimizers.SGD


TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf
from tlkit.optimizers import with_adaptive_clipping, with_multipliers
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")

def trained(scope, make):
    keras.utils.set_random_seed(0)
    with scope:
        model = keras.Sequential([keras.layers.Dense(4, name=name) for name in ("a", "b", "c")])
        model.build((None, 4))
        model.compile(make(), "mse")
    model.fit(x, x[:, ::-1], batch_size=4, shuffle=False, verbose=0)
    return [np.asarray(v) for v in model.weights]

for make in (
    lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
    lambda: keras.optimizers.Muon(0.1, weight_decay=0.5, adam_weight_decay=0.3),
):
    def rules():
        return with_multipliers(make(), {"/a/": 0.0, "/b/": 0.5})
    one = trained(tf.distribute.OneDeviceStrategy("CPU:0").scope(), rules)
    two = trained(strategy.scope(), rules)
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    plain = trained(strategy.scope(), make)
    same = trained(strategy.scope(), lambda: with_multipliers(make(), {".": 1.0}))
    for a, b in zip(plain, same):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
trained(strategy.scope(), lambda: with_adaptive_clipping(keras.optimizers.SGD(0.1), 0.01))
print("agree")
"""


@pytest.mark.slow
def test_two_devices_train_as_one_does():
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip().endswith("agree"), done.stderr[-3000:]


def test_a_model_in_an_hdf5_file_is_loaded_with_its_multipliers(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, name="body")])
    optimizer = with_multipliers(keras.optimizers.SGD(0.1, momentum=0.9), {"body": 0.0})
    model.compile(optimizer, keras.losses.MeanSquaredError())
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.optimizer.rate_multipliers == {"body": 0.0}
    # Keras's optimizers from such a file know no variable; compiling with a new one is its way on
    loaded.compile(type(optimizer).from_config(optimizer.get_config()), "mse")
    before = np.asarray(loaded.layers[0].kernel)
    loaded.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(np.asarray(loaded.layers[0].kernel), before)
