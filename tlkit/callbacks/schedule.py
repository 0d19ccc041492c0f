"""Schedules as callbacks that set the learning rate of each step.

    model.fit(..., callbacks=[tlkit.callbacks.CosineDecay(warmup_epochs=1)])
    model.fit(..., callbacks=[tlkit.callbacks.ScheduledRate("my_things:falling", by=0.5)])

Unlike a `LearningRateSchedule` inside the optimizer, a callback does not need the
number of steps in advance, and the learning rate remains a number that others can read.
"""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from tlkit import own_modules, own_things
from tlkit.callbacks.one_rate import SetsRate
from tlkit.errors import UserError, did_you_mean
from tlkit.limits import number
from tlkit.recipe.schedule_length import too_short
from tlkit.registry import SCHEDULES
from tlkit.step_count import StepCount
from tlkit.tensors import KerasModel

# what a schedule is called with, in this order
HANDED = ("learning_rate", "epochs", "steps_per_epoch")
# among a callback's `params`: no other callback could set the rate
ALONE = "sets_rate_alone"
# of each optimizer: the rate that a schedule began with, and the one that was set last
_SCHEDULED: weakref.WeakKeyDictionary[Any, tuple[float, float]] = weakref.WeakKeyDictionary()


class ScheduledRate(SetsRate):
    """Sets the optimizer's learning rate before each batch, or before each execution of several.

    The rate depends only on the epoch and the batch that Keras reports. Therefore
    `fit(initial_epoch=k)`, `BackupAndRestore` and a saved model continue with the same rates as
    one uninterrupted `fit` with the same `epochs`. If the optimizer accumulates gradients, updates
    are counted instead of batches: the rate changes once per update. With `steps_per_execution`,
    all batches of an execution have the rate of its first batch. The rate of the last step of an
    epoch appears in its logs as `learning_rate`.

    A schedule starts from `learning_rate` if it is given, else from the rate that the optimizer
    has when `fit` is called. The initial rate is restored when `fit` ends, so that the next `fit`,
    or a model saved afterwards, does not start from the decayed rate. This also works after an
    interrupted `fit`, as long as the optimizer is the same object. A model that was saved *during*
    `fit`, for example by `ModelCheckpoint`, contains only the decayed rate: to continue with it
    after `load_model`, pass `learning_rate`; without it, an `initial_epoch` other than 0 is an
    error.

    Args:
        schedule: Function of `tlkit.schedules`, or any function
            `(learning_rate, epochs, steps_per_epoch, **arguments)` that returns
            a function of the step; or the name of one, as in recipes: `cosine`, or
            `my_module:my_schedule`. `steps_per_epoch` counts updates, and is fractional
            if the accumulation does not divide the batches of an epoch. A function with
            a parameter `learning_rate` receives only those of the three that it names.
        learning_rate: Initial learning rate, at epoch 0; None for the optimizer's own.
        arguments: Arguments of the schedule itself.

    Raises:
        UserError: if there is no schedule of that name, or it does not have such an argument.
        ValueError: in `fit`, if the schedule does not return a function of the step, `fit` does not
            know its number of steps, the optimizer has a schedule of its own, something else
            sets the rate too, the initial rate is not known, or the optimizer accumulates
            gradients over more batches than `fit` will have. If a part of the schedule, such
            as a warm-up, is longer than `fit`, it warns.
    """

    def __init__(
        self,
        schedule: Callable[..., Any] | str,
        learning_rate: float | None = None,
        **arguments: Any,
    ):
        super().__init__()
        self.schedule = schedule
        self._name, _ = _found(schedule, arguments)
        self.learning_rate = (
            None if learning_rate is None else number("learning_rate", learning_rate, above=0)
        )
        self.arguments = arguments
        self._found: tuple[float, float, int, bool] | None = None
        self._course: _Course | None = None

    def set_model(self, model: KerasModel) -> None:
        super().set_model(model)
        # before other callbacks begin, of which BackupAndRestore brings back a decayed rate
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            rate, steps = float(optimizer.learning_rate), int(optimizer.iterations)
            base, last = _SCHEDULED.get(optimizer, (rate, rate))
            known = optimizer in _SCHEDULED or steps == 0
            self._found = (base if rate == last else rate, rate, steps, known)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.refuse_others()
        count = self.step_count()
        if count is None:
            raise ValueError(
                f"{type(self).__name__} needs the number of steps of an epoch, which this data set "
                "does not tell; pass steps_per_epoch to fit, or give a tf.data.Dataset its length "
                "with dataset.apply(tf.data.experimental.assert_cardinality(n))"
            )
        self.refuse_no_update(count)
        self._warn_if_too_short(count)
        base, known = self._base()
        _, make = _found(self.schedule, self.arguments)
        rate = make(base, count.epochs, count.updates_per_epoch, **self.arguments)
        if not callable(rate):
            name = getattr(self.schedule, "__name__", self.schedule)
            raise ValueError(f"{name} gives {rate!r}; expected a function of the step")
        self._course = _Course(count, rate, base, known)

    def _warn_if_too_short(self, count: StepCount) -> None:
        """Warns about parts of the schedule that this `fit` is too short for, such as a warm-up."""
        if short := too_short(self._name, self.arguments, count.epochs, count):
            warnings.warn(
                f"{type(self).__name__} cannot do in this fit what it is told: {short}",
                stacklevel=2,
            )

    def _base(self) -> tuple[float, bool]:
        """Returns the learning rate at epoch 0, and whether it is certain."""
        optimizer = self.model.optimizer
        if self.learning_rate is not None:
            return self.learning_rate, True
        now = float(optimizer.learning_rate)
        if self._found is None:
            return now, True
        base, before, steps, known = self._found
        # set by another callback as training begins, and not brought back with older weights
        changed = now != before and int(optimizer.iterations) == steps
        return (now if changed else base), known

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        course = self._course
        assert course is not None
        course.epoch = epoch
        if epoch and not course.known:
            raise ValueError(
                f"training goes on at epoch {epoch}, and the rate that the optimizer has, "
                f"{course.base:.6g}, may be what a schedule had left of its first; pass the rate of "
                f"epoch 0: {type(self).__name__}(..., learning_rate=...)"
            )
        course.known = True

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        course, optimizer = self._course, self.model.optimizer
        assert course is not None
        # where nothing else can set it, it is not read back: a GPU would have to be waited for
        if course.last is not None and not self.params.get(ALONE):
            self.refuse_change(course.last)
        count = course.count
        update = count.updates_after(count.batches_before(course.epoch, batch))
        if update != course.update:
            course.update, course.now = update, float(course.rate(update))
        optimizer.learning_rate = course.now
        alone = self.params.get(ALONE)
        course.last = course.now if alone else float(optimizer.learning_rate)
        _SCHEDULED[optimizer] = (course.base, course.last)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        course, optimizer = self._course, self.model.optimizer
        if course is not None:
            optimizer.learning_rate = course.base
            _SCHEDULED[optimizer] = (course.base, float(optimizer.learning_rate))


def _found(
    schedule: Callable[..., Any] | str, arguments: dict[str, Any]
) -> tuple[str, Callable[..., Any]]:
    """Returns a schedule's name, empty for a user-defined function, and what creates it."""
    if not isinstance(schedule, str):
        name = getattr(schedule, "__name__", "")
        if name in SCHEDULES.packaged and SCHEDULES[name].load() is schedule:
            return name, schedule
        if "learning_rate" in inspect.signature(schedule).parameters:
            return "", SCHEDULES.of_thing(schedule).by_position(*HANDED)
        return "", schedule
    own_modules.look_here(own_things.modules_in(schedule))
    if schedule not in SCHEDULES:
        raise UserError(SCHEDULES.suggest(schedule), where="schedule")
    entry = SCHEDULES[schedule]
    if entry.facts.makes_callback:
        raise UserError(f"{schedule!r} is a callback itself, and no function of the step")
    known = entry.arguments.model_fields
    for key in arguments:
        if key not in known:
            raise UserError(
                f"schedule {schedule!r} has no argument {key!r}. {did_you_mean(key, known)}"
            )
    return schedule, entry.by_position(*HANDED)


class _Course:
    """State of one `fit`: its step count, its schedule, and its progress.

    Args:
        count: Number of its batches and updates.
        rate: Learning rate as a function of the update.
        base: Initial learning rate.
        known: Whether the initial rate is certain.
    """

    def __init__(self, count: StepCount, rate: Callable[[int], Any], base: float, known: bool):
        self.count, self.rate, self.base, self.known = count, rate, base, known
        self.epoch = 0
        self.update = -1
        self.now = base
        self.last: float | None = None
