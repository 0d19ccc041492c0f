"""Every schedule against its formula, as a schedule and as a callback in plain fit."""

import math

import keras
import numpy as np
import pytest

from tlkit import callbacks, registry, schedules

EPOCHS, STEPS = 6, 5
RATE = 0.2


def cosine_half(t):
    return (1 + math.cos(math.pi * t)) / 2


# name, arguments, the callback, the rate at epoch t as its paper or Keras defines it
CASES = [
    ("constant", {}, callbacks.ConstantRate, lambda t: RATE),
    ("exponential", {"rate": 0.8, "every_epochs": 2.0}, callbacks.ExponentialDecay, lambda t: RATE * 0.8 ** (t / 2)),
    ("step", {"rate": 0.5, "every_epochs": 2.0}, callbacks.StepDecay, lambda t: RATE * 0.5 ** math.floor(t / 2 + 1e-9)),
    ("natural_exponential", {"rate": 0.3}, callbacks.NaturalExponentialDecay, lambda t: RATE * math.exp(-0.3 * t)),
    ("inverse_time", {"rate": 0.5, "every_epochs": 2.0}, callbacks.InverseTimeDecay, lambda t: RATE / (1 + 0.5 * t / 2)),
    ("piecewise", {"boundaries": [2.0, 4.0], "factors": [0.5, 0.1]}, callbacks.PiecewiseDecay,
     lambda t: RATE * (1 if t < 2 - 1e-9 else 0.5 if t < 4 - 1e-9 else 0.1)),
    ("polynomial", {"power": 2.0, "end_factor": 0.1}, callbacks.PolynomialDecay,
     lambda t: 0.9 * RATE * (1 - t / EPOCHS) ** 2 + 0.1 * RATE),
    ("polynomial", {"cycle_epochs": 2.0}, callbacks.PolynomialDecay,
     lambda t: RATE * (1 - t / (2 * max(1, math.ceil(t / 2 - 1e-9))))),
    ("cosine", {"end_factor": 0.1}, callbacks.CosineDecay, lambda t: RATE * (0.9 * cosine_half(t / EPOCHS) + 0.1)),
    ("cosine", {"restart_epochs": 2.0, "restart_growth": 2.0, "restart_factor": 0.5}, callbacks.CosineDecay,
     lambda t: RATE * (cosine_half(t / 2) if t < 2 - 1e-9 else 0.5 * cosine_half((t - 2) / 4))),
    ("one_cycle", {"rise": 0.5, "start_divisor": 10.0, "end_divisor": 100.0}, callbacks.OneCycle,
     lambda t: RATE + (RATE / 10 - RATE) * cosine_half(t / 3) if t < 3 - 1e-9
     else RATE / 1000 + (RATE - RATE / 1000) * cosine_half((t - 3) / 3)),
]  # fmt: skip
NAMES = [case[0] for case in CASES]


@pytest.mark.parametrize(("name", "arguments", "callback", "formula"), CASES, ids=NAMES)
def test_as_a_schedule_it_follows_its_formula(name, arguments, callback, formula):
    schedule = registry.SCHEDULES.build(name, RATE, EPOCHS, STEPS, **arguments)
    assert isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule)
    got = [float(schedule(step)) for step in range(EPOCHS * STEPS)]
    expected = [formula(step / STEPS) for step in range(EPOCHS * STEPS)]
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-7)


class Rates(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def fit(callback, accumulate=None):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(RATE, gradient_accumulation_steps=accumulate), "mse")
    rates = Rates()
    history = model.fit(
        np.ones((STEPS * 4, 2)),
        np.ones(STEPS * 4),
        batch_size=4,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[callback, rates],
    )
    return rates.rates, history


@pytest.mark.parametrize(("name", "arguments", "callback", "formula"), CASES, ids=NAMES)
def test_as_a_callback_it_sets_the_rate_of_each_step_of_plain_fit(
    name, arguments, callback, formula
):
    rates, history = fit(callback(**arguments))
    np.testing.assert_allclose(
        rates, [formula(s / STEPS) for s in range(EPOCHS * STEPS)], rtol=2e-4, atol=1e-7
    )
    assert len(history.history["learning_rate"]) == EPOCHS


def test_the_callbacks_have_the_defaults_of_the_recipes():
    import inspect

    for name, _, callback, _ in CASES:
        fields = registry.SCHEDULES[name].arguments.model_fields
        for key, parameter in inspect.signature(callback).parameters.items():
            if key != "learning_rate" and parameter.default is not inspect.Parameter.empty:
                assert fields[key].default == parameter.default, (name, key)


def test_warmup_rises_linearly_and_the_schedule_starts_after_it():
    schedule = schedules.cosine(RATE, EPOCHS, STEPS, warmup_epochs=1.0)
    got = [float(schedule(step)) for step in range(EPOCHS * STEPS)]
    np.testing.assert_allclose(got[:5], [RATE * (k + 1) / 6 for k in range(5)], rtol=1e-5)
    expected = [RATE * cosine_half(k / 25) for k in range(25)]
    np.testing.assert_allclose(got[5:], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "schedule", [schedules.cosine(0.1, 4, 3, warmup_epochs=1.0), schedules.one_cycle(0.1, 4, 3)]
)
def test_own_schedules_survive_saving(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    for step in range(12):
        assert float(again(step)) == pytest.approx(float(schedule(step)))


def test_the_callback_counts_updates_when_gradients_are_accumulated():
    rates, _ = fit(callbacks.ExponentialDecay(rate=0.5), accumulate=2)
    expected = [RATE * 0.5 ** ((s // 2) / (STEPS / 2)) for s in range(EPOCHS * STEPS)]
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


def test_a_schedule_in_the_optimizer_as_well_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)), "mse")
    with pytest.raises(ValueError, match="give the optimizer a number, not a schedule"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[callbacks.CosineDecay()])


@pytest.mark.parametrize(
    "wrong",
    [lambda: schedules.OneCycle(0.1, 0), lambda: schedules.OneCycle(0.1, 5, rise=1.0),
     lambda: schedules.Warmup(schedules.constant(0.1, 1), -1),
     lambda: schedules.piecewise(0.1, 4, 1, boundaries=[2.0, 1.0], factors=[1.0, 1.0]),
     lambda: schedules.piecewise(0.1, 4, 1, boundaries=[1.0], factors=[])],
)  # fmt: skip
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|need"):
        wrong()


def test_halve_on_plateau_halves_after_patience_and_keeps_the_least_rate():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8), "mse")
    callback = callbacks.HalveOnPlateau(patience=2, minimum=0.3)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate([1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.8, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3, 0.3])


def test_halve_on_plateau_watches_accuracy_upwards():
    callback = callbacks.HalveOnPlateau(monitor="val_accuracy")
    assert callback.mode == "max"
