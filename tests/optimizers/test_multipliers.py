"""Learning rates by variable, against the optimizer itself at another rate."""

import keras
import numpy as np
import pytest

from tlkit import registry
from tlkit.optimizers import with_multipliers

START = np.array([1.0, -2.0, 3.0], "float32")
GRADIENTS = [np.array(g, "float32") for g in ([0.3, -0.1, 0.7], [0.2, 0.4, -0.6], [-0.1, 0.5, 0.2])]


def variable(name, value=START):
    # a path as layers have it
    layer = keras.layers.Layer(name=name)
    return layer.add_weight(
        shape=value.shape,
        initializer=lambda *a, **k: keras.ops.convert_to_tensor(value),
        name="kernel",
    )


def walk(optimizer, variables, gradients=GRADIENTS):
    for g in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g)] * len(variables), variables)
    return [np.asarray(v) for v in variables]


def make(name, rate=0.1, **more):
    return registry.OPTIMIZERS.build(name, learning_rate=rate, **more)


@pytest.mark.parametrize("name", registry.OPTIMIZERS)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_factor_is_the_same_as_that_learning_rate(name, compiled):
    a, b = variable("slow"), variable("fast")
    optimizer = with_multipliers(make(name), {"^fast/": 3.0})
    if compiled:
        import tensorflow as tf

        optimizer.build([a, b])
        step = tf.function(lambda g: optimizer.apply([g, g], [a, b]))
        for g in GRADIENTS:
            step(tf.constant(g))
        got = [np.asarray(a), np.asarray(b)]
    else:
        got = walk(optimizer, [a, b])
    (slow,) = walk(make(name, 0.1), [variable("slow")])
    (fast,) = walk(make(name, 0.3), [variable("fast")])
    np.testing.assert_allclose(got[0], slow, rtol=1e-5)
    np.testing.assert_allclose(got[1], fast, rtol=1e-5)


def test_zero_holds_a_variable_still_also_against_decay():
    v = variable("held")
    (got,) = walk(with_multipliers(make("adamw", weight_decay=0.5), {"held": 0.0}), [v])
    np.testing.assert_array_equal(got, START)


def test_weight_decay_follows_the_rate():
    a, b = variable("slow"), variable("fast")
    optimizer = with_multipliers(make("adamw", weight_decay=0.2), {"fast": 3.0})
    got = walk(optimizer, [a, b])
    (fast,) = walk(make("adamw", 0.3, weight_decay=0.2), [variable("fast")])
    np.testing.assert_allclose(got[1], fast, rtol=1e-5)
    assert optimizer.weight_decay == 0.2


def test_several_patterns_multiply():
    v = variable("block_1")
    (got,) = walk(with_multipliers(make("sgd", momentum=0.0), {"block": 2.0, "kernel": 0.25}), [v])
    expected = START - 0.1 * 0.5 * sum(GRADIENTS)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_clipping_comes_before_and_accumulation_works():
    v = variable("x")
    optimizer = make("sgd", momentum=0.0)
    optimizer.global_clipnorm = 1.0
    optimizer.gradient_accumulation_steps = 2
    with_multipliers(optimizer, {"x": 5.0})
    big = np.array([30.0, 40.0, 0.0], "float32")
    (got,) = walk(optimizer, [v], [big, big])
    np.testing.assert_allclose(got, START - 0.1 * 5 * big / 50, rtol=1e-5)


def test_the_learning_rate_stays_one_number_that_callbacks_set():
    v = variable("x")
    optimizer = with_multipliers(make("sgd", momentum=0.0), {"x": 2.0})
    walk(optimizer, [v], GRADIENTS[:1])
    optimizer.learning_rate = 0.01
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    before = np.asarray(v)
    walk(optimizer, [v], GRADIENTS[1:2])
    np.testing.assert_allclose(np.asarray(v), before - 0.02 * GRADIENTS[1], rtol=1e-5)


def test_a_schedule_in_the_optimizer_is_scaled_too():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    v = variable("x")
    (got,) = walk(with_multipliers(keras.optimizers.SGD(schedule), {"x": 2.0}), [v])
    rates = [0.1, 0.05, 0.025]
    expected = START - 2 * sum(r * g for r, g in zip(rates, GRADIENTS, strict=True))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_loss_scaling_wraps_it():
    v = variable("x")
    inner = with_multipliers(make("sgd", momentum=0.0), {"x": 2.0})
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=8.0)
    (got,) = walk(optimizer, [v], [8 * g for g in GRADIENTS])
    np.testing.assert_allclose(got, START - 0.2 * sum(GRADIENTS), rtol=1e-4)


def test_it_works_in_plain_fit():
    inputs = keras.Input((3,))
    model = keras.Model(
        inputs, keras.layers.Dense(2, name="held")(keras.layers.Dense(4, name="body")(inputs))
    )
    before = [np.asarray(w) for w in model.weights]
    model.compile(with_multipliers(keras.optimizers.Adam(0.1), {"^held/": 0.0}), "mse")
    model.fit(np.ones((8, 3)), np.zeros((8, 2)), verbose=0)
    after = [np.asarray(w) for w in model.weights]
    assert not np.allclose(before[0], after[0])
    np.testing.assert_array_equal(before[2], after[2])


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="0 or more; got -1"):
        with_multipliers(make("sgd"), {"x": -1})
    with pytest.raises(ValueError, match="already"):
        with_multipliers(with_multipliers(make("sgd"), {}), {})
