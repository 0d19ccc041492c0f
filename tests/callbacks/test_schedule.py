"""Schedules in plain `fit`: resumed, repeated, accumulated, and never two at once."""

import warnings

import keras
import numpy as np
import pytest

from tlkit import callbacks, schedules

RATE, EPOCHS, STEPS = 0.2, 6, 7
KINDS = [
    lambda **more: callbacks.CosineDecay(warmup_epochs=1.5, **more),
    lambda **more: callbacks.OneCycle(**more),
    lambda **more: callbacks.StepDecay(rate=0.5, every_epochs=1.5, **more),
    lambda **more: callbacks.PiecewiseDecay([1.5, 4.0], [0.5, 0.1], **more),
]
IDS = ["cosine", "one_cycle", "step", "piecewise"]


class Rates(keras.callbacks.Callback):
    """The rates of all batches; breaks `fit` off when there are `most`."""

    def __init__(self, most=10**9):
        super().__init__()
        self.rates, self.most = [], most

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        if len(self.rates) >= self.most:
            raise KeyboardInterrupt


def compiled(rate=RATE, **more):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(rate, gradient_accumulation_steps=more.pop("accumulate", None))
    model.compile(optimizer, "mse", **more)
    return model


DATA = (np.ones((STEPS * 4, 2), "float32"), np.ones(STEPS * 4, "float32"))


def rates_of(model, *given, most=10**9, **arguments):
    rates = Rates(most)
    arguments = {"epochs": EPOCHS, "batch_size": 4, "verbose": 0} | arguments
    try:
        model.fit(*DATA, callbacks=[*given, rates], **arguments)
    except KeyboardInterrupt:
        assert most < 10**9
    return rates.rates


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_fit_that_was_broken_off_goes_on_with_the_rates_of_a_whole_one(kind):
    whole = rates_of(compiled(), kind())
    assert len(whole) == EPOCHS * STEPS and len(set(whole)) > 2
    model = compiled()
    first = rates_of(model, kind(), most=2 * STEPS)
    # another callback, which finds the decayed rate in the same optimizer
    rest = rates_of(model, kind(), initial_epoch=2)
    np.testing.assert_array_equal(first + rest, whole)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_second_fit_begins_at_the_same_rate_and_a_third_goes_on(kind):
    model, callback = compiled(), kind()
    whole = rates_of(model, callback)
    assert float(model.optimizer.learning_rate) == pytest.approx(RATE)
    assert rates_of(model, callback) == whole
    assert rates_of(model, callback, initial_epoch=4) == whole[4 * STEPS :]
    model.optimizer.learning_rate = RATE / 2
    np.testing.assert_allclose(rates_of(model, callback), np.array(whole) / 2, rtol=1e-5)


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "before"])
def test_backup_and_restore_goes_on_in_another_process(tmp_path, behind):
    whole = rates_of(compiled(), KINDS[0]())

    def run(most=10**9):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        given = [backup, KINDS[0]()] if behind else [KINDS[0](), backup]
        return rates_of(compiled(), *given, most=most)

    first = run(most=3 * STEPS)
    np.testing.assert_array_equal(first[: 3 * STEPS] + run(), whole)


def test_a_loaded_model_goes_on_from_the_rate_that_it_is_told(tmp_path):
    whole = rates_of(compiled(), KINDS[0]())
    model = compiled()
    rates_of(model, KINDS[0](), most=3 * STEPS)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert float(loaded.optimizer.learning_rate) < 0.9 * RATE
    with pytest.raises(ValueError, match=r"CosineDecay\(..., learning_rate=...\)"):
        rates_of(loaded, KINDS[0](), initial_epoch=3)
    rest = rates_of(loaded, KINDS[0](learning_rate=RATE), initial_epoch=3)
    np.testing.assert_allclose(rest, whole[3 * STEPS :], rtol=1e-6)


def test_a_model_saved_after_fit_has_the_rate_it_began_with(tmp_path):
    model = compiled()
    whole = rates_of(model, KINDS[0]())
    model.save(tmp_path / "m.keras")
    assert rates_of(keras.models.load_model(tmp_path / "m.keras"), KINDS[0]()) == whole


def test_several_steps_an_execution_have_the_rate_of_their_first():
    """Against the same schedule in the optimizer, which Keras asks at each step."""
    inside = schedules.exponential(RATE, EPOCHS, STEPS, rate=0.5)
    rates = rates_of(compiled(steps_per_execution=4), callbacks.ExponentialDecay(rate=0.5))
    firsts = [epoch * STEPS + begin for epoch in range(EPOCHS) for begin in (0, 4)]
    np.testing.assert_allclose(rates, [float(inside(step)) for step in firsts], rtol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_with_accumulation_all_updates_have_their_place_and_the_last_is_the_end(scaled):
    """Seven batches, six epochs, accumulated by fours: ten updates of one cosine."""
    model = compiled(accumulate=4)
    if scaled:
        model.compile(keras.optimizers.LossScaleOptimizer(model.optimizer), "mse")
    rates = rates_of(model, callbacks.CosineDecay())
    expected = [RATE * (1 + np.cos(np.pi * k / 10)) / 2 for k in range(10)]
    np.testing.assert_allclose(rates[3:40:4], expected, rtol=1e-5)
    assert all(len(set(rates[4 * k : 4 * k + 4])) == 1 for k in range(10))


def test_data_of_unknown_length_are_refused_with_what_to_do():
    def generate():
        while True:
            yield DATA[0][:4], DATA[1][:4]

    model = compiled()
    with pytest.raises(ValueError, match="pass steps_per_epoch to fit"):
        model.fit(generate(), epochs=1, callbacks=[callbacks.CosineDecay()], verbose=0)
    given = {"steps_per_epoch": STEPS, "epochs": EPOCHS, "verbose": 0}
    rates = Rates()
    model.fit(generate(), callbacks=[callbacks.CosineDecay(), rates], **given)
    assert rates.rates == rates_of(compiled(), callbacks.CosineDecay())


def test_two_that_set_the_rate_are_refused():
    both = [callbacks.CosineDecay(), callbacks.HalveOnPlateau()]
    for given in (both, both[::-1], [callbacks.CosineDecay(), callbacks.StepDecay()]):
        with pytest.raises(ValueError, match="both set the learning rate"):
            rates_of(compiled(), *given)
    # a callback that was once refused, and one after it alone, are free
    assert len(rates_of(compiled(), both[0])) == EPOCHS * STEPS


def test_a_rate_that_something_else_sets_is_not_overwritten_in_silence():
    other = keras.callbacks.LearningRateScheduler(lambda epoch: RATE / (1 + epoch))
    with pytest.raises(ValueError, match="another callback sets it too"):
        rates_of(compiled(), callbacks.CosineDecay(), other)


def test_the_rate_that_another_callback_sets_as_training_begins_is_the_first():
    class Warm(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.optimizer.learning_rate = 0.05

    rates = rates_of(compiled(), Warm(), callbacks.CosineDecay())
    assert rates[0] == pytest.approx(0.05)


@pytest.mark.parametrize("kind", [*KINDS, lambda: callbacks.HalveOnPlateau("loss")],
                         ids=[*IDS, "plateau"])  # fmt: skip
@pytest.mark.parametrize("scaled", [False, True])
def test_a_fit_that_would_make_no_update_is_refused(kind, scaled):
    """Keras itself says nothing: 14 batches are gathered, and thrown away."""
    model = compiled(accumulate=15)
    if scaled:
        model.compile(keras.optimizers.LossScaleOptimizer(model.optimizer), "mse")
    with pytest.raises(ValueError, match=r"no update: 2 epochs of 7 batches are 14, .* over 15"):
        rates_of(model, kind(), epochs=2)
    assert len(rates_of(model, kind(), epochs=3)) == 21


@pytest.mark.parametrize(
    ("callback", "epochs", "accumulate", "says"),
    [
        (lambda: callbacks.CosineDecay(warmup_epochs=3), 2, None, "warmup_epochs 3 must be less"),
        (lambda: callbacks.ConstantRate(warmup_epochs=2), 2, None, "warmup_epochs 2 must be less"),
        (lambda: callbacks.PiecewiseDecay([5.0], [0.1]), 3, None, "epoch 5 is never reached"),
        (lambda: callbacks.StepDecay(every_epochs=4), 3, None, "at epoch 4, is never reached"),
        (lambda: callbacks.CosineDecay(restart_epochs=4), 3, None, "restart_epochs 4 is longer"),
        (lambda: callbacks.PolynomialDecay(cycle_epochs=4), 3, None, "cycle_epochs 4 is longer"),
        (lambda: callbacks.OneCycle(), 2, 7, "in 3 updates or more"),
    ],
)
def test_a_schedule_longer_than_fit_is_warned_of(callback, epochs, accumulate, says):
    with pytest.warns(UserWarning, match=says):
        rates_of(compiled(accumulate=accumulate), callback(), epochs=epochs)


@pytest.mark.parametrize("kind", [*KINDS, lambda: callbacks.CosineDecay(warmup_epochs=1.9)])
def test_a_schedule_that_fits_is_not_warned_of(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates_of(compiled(), kind())
        rates_of(compiled(), callbacks.StepDecay(), epochs=2)  # nobody asked for a step within


def test_the_rate_of_an_optimizer_in_bfloat16_is_not_taken_for_another_callbacks():
    before = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(np.ones((8, 2)), np.ones(8), 2, 3, 0, callbacks=[callbacks.CosineDecay()])
    finally:
        keras.config.set_floatx(before)
