"""Every schedule against its formula, as a schedule and as a callback in plain fit."""

import copy
import importlib
import inspect
import math
import pickle
import sys

import keras
import numpy as np
import pytest

from tlkit import callbacks, registry, schedules
from tlkit.errors import UserError

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


def test_every_schedule_has_its_formula_here_and_its_callback():
    by_callback = {name for name, e in registry.SCHEDULES.items() if e.facts.makes_callback}
    assert set(NAMES) | by_callback == set(registry.SCHEDULES)
    assert {case[2].__name__ for case in CASES} == set(callbacks.__all__) - {
        "HalveOnPlateau",
        "ScheduledRate",
    }
    assert set(callbacks.__all__) <= set(dir(callbacks))
    with pytest.raises(AttributeError, match="no attribute 'CosinDecay'"):
        callbacks.CosinDecay  # noqa: B018 - looking it up is the test


@pytest.mark.parametrize(("name", "arguments", "callback", "formula"), CASES, ids=NAMES)
def test_the_callbacks_show_what_they_take(name, arguments, callback, formula):
    function = registry.SCHEDULES[name].load()
    own = [p for p in inspect.signature(function).parameters.values() if p.kind == p.KEYWORD_ONLY]
    shown = inspect.signature(callback).parameters
    assert list(shown) == [*(p.name for p in own), "learning_rate"]
    assert [shown[p.name].default for p in own] == [p.default for p in own]
    assert inspect.signature(callback.__init__).parameters.keys() == {"self": 0, **shown}.keys()
    for word in (*shown, function.__doc__.splitlines()[0]):
        assert word in callback.__doc__
    assert "steps_per_epoch:" not in callback.__doc__


def test_the_callbacks_are_as_written_by_hand():
    made = callbacks.StepDecay(0.5, 2.0, learning_rate=0.3)
    assert made.arguments == {"rate": 0.5, "every_epochs": 2.0, "warmup_epochs": 0.0}
    assert made.learning_rate == 0.3
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is callbacks.StepDecay and again.arguments == made.arguments
    assert copy.deepcopy(made).schedule is schedules.step
    assert issubclass(callbacks.StepDecay, callbacks.ScheduledRate)
    assert str(inspect.signature(callbacks.StepDecay)) == (
        "(rate: float = 0.1, every_epochs: float = 10.0, warmup_epochs: float = 0.0, "
        "learning_rate: float | None = None)"
    )
    with pytest.raises(TypeError, match="StepDecay: got an unexpected keyword argument 'rat'"):
        callbacks.StepDecay(rat=1.0)
    with pytest.raises(TypeError, match="PiecewiseDecay: missing a required argument: 'bound"):
        callbacks.PiecewiseDecay()


OWN = """
def falling(learning_rate, epochs, by: float = 0.5):
    return lambda step: learning_rate / (1 + by * step)


def number(learning_rate):
    return learning_rate
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    name = f"rates_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def test_schedules_of_ones_own_are_callbacks_by_name_and_as_functions(own):
    expected = [RATE / (1 + 2.0 * step) for step in range(EPOCHS * STEPS)]
    made = callbacks.ScheduledRate(f"{own}:falling", by=2.0)
    rates, _ = fit(pickle.loads(pickle.dumps(made)))
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    falling = importlib.import_module(own).falling
    np.testing.assert_allclose(
        fit(callbacks.ScheduledRate(falling, by=2.0))[0], expected, rtol=1e-5
    )
    by_place = callbacks.ScheduledRate(lambda lr, e, s, by: lambda t: lr / (1 + by * t), by=2.0)
    np.testing.assert_allclose(fit(by_place)[0], expected, rtol=1e-5)
    by_name = callbacks.ScheduledRate("cosine", end_factor=0.1)
    np.testing.assert_allclose(fit(by_name)[0], fit(callbacks.CosineDecay(end_factor=0.1))[0])


def test_what_is_wrong_with_a_schedule_by_name_is_said(own):
    with pytest.raises(UserError, match="Did you mean 'cosine'"):
        callbacks.ScheduledRate("cosin")
    with pytest.raises(UserError, match=r"has no 'fallin'\. Did you mean 'falling'"):
        callbacks.ScheduledRate(f"{own}:fallin")
    with pytest.raises(UserError, match=r"has no argument 'bye'\. Did you mean 'by'"):
        callbacks.ScheduledRate(f"{own}:falling", bye=1.0)
    with pytest.raises(UserError, match="'halve_on_plateau' is a callback itself"):
        callbacks.ScheduledRate("halve_on_plateau")
    with pytest.raises(UserError, match=r"gives 0\.2.*; expected a function of the step"):
        fit(callbacks.ScheduledRate(f"{own}:number"))
    with pytest.raises(ValueError, match=r"gives 3; expected a function of the step"):
        fit(callbacks.ScheduledRate(lambda rate, epochs, steps: 3))


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
