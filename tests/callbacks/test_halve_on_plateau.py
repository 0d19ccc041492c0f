"""The plateau: its direction, against Keras's own callback, and alone."""

import keras
import numpy as np
import pytest

from tlkit.callbacks import HalveOnPlateau
from tlkit.callbacks.one_rate import SETTERS

SERIES = np.random.default_rng(3).normal(size=40).cumsum() * 0.05 + 0.5


def rates_of(callback, name, values):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8), "mse")
    callback.set_params({})
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_train_batch_begin(0)
        callback.on_epoch_end(epoch, {name: value})
        rates.append(float(model.optimizer.learning_rate))
    return rates


@pytest.mark.parametrize(
    ("name", "mode"),
    [("val_auc", "max"), ("val_accuracy", "max"), ("val_f1_score", "max"), ("val_loss", "min"),
     ("val_mean_absolute_error", "min"), ("val_mAP", "max")],
)  # fmt: skip
def test_it_halves_as_kerass_does_in_the_right_direction(name, mode):
    keras_own = keras.callbacks.ReduceLROnPlateau(
        monitor=name, factor=0.5, patience=2, mode=mode, min_delta=1e-4, cooldown=1
    )
    expected = rates_of(keras_own, name, SERIES)
    assert len(set(expected)) > 3
    assert rates_of(HalveOnPlateau(name, cooldown=1), name, SERIES) == expected
    assert rates_of(HalveOnPlateau(name, cooldown=1, mode=mode), name, SERIES) == expected


def test_a_rising_auc_keeps_the_rate():
    rates = rates_of(HalveOnPlateau("val_auc"), "val_auc", np.linspace(0.5, 0.9, 10))
    np.testing.assert_allclose(rates, 0.8)


def test_an_unknown_direction_is_asked_for():
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        rates_of(HalveOnPlateau("val_quality"), "val_quality", SERIES)
    assert len(rates_of(HalveOnPlateau("val_quality", mode="max"), "val_quality", SERIES)) == 40


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "up"}, {"factor": 1.0}, {"factor": 0}, {"patience": 0}, {"cooldown": -1},
     {"minimum": -0.1}, {"min_delta": -1}],
)  # fmt: skip
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        HalveOnPlateau(**wrong)


def fit(*given, optimizer=None, values=SERIES):
    """Six epochs whose val_loss is flat, so that the rate falls from the third on."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(0.0625), "mse")
    x, y = np.ones((8, 2)), np.ones(8)

    class Flat(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = 1.0

    return model.fit(x, y, epochs=6, verbose=0, callbacks=[Flat(), *given])


def test_beside_another_that_sets_the_rate_it_is_refused():
    constant = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0625)
    for given in ([constant, HalveOnPlateau()], [HalveOnPlateau(), constant]):
        with pytest.raises(ValueError, match="another callback sets it too"):
            fit(*given)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(ValueError, match="give the optimizer a number, not a schedule"):
        fit(HalveOnPlateau(), optimizer=keras.optimizers.SGD(schedule))
    rates = fit(HalveOnPlateau()).history["learning_rate"]
    assert rates[0] == 0.0625 and rates[-1] < 0.04


def test_fit_shares_its_parameters_among_its_callbacks():
    """By which two of them know of each other."""
    one, other = HalveOnPlateau(), HalveOnPlateau()
    keras.callbacks.CallbackList([one, other], epochs=1)
    assert one.params[SETTERS] == [one, other]
