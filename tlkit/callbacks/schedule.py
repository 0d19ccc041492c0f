"""Every schedule as a callback that sets the learning rate of each step.

    model.fit(..., callbacks=[tlkit.callbacks.CosineDecay(warmup_epochs=1)])

Unlike a `LearningRateSchedule` inside the optimizer, a callback needs no count
of steps beforehand, and the rate stays a number that others may read and set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tlkit import schedules


class ScheduledRate(keras.callbacks.Callback):
    """Sets the optimizer's learning rate before each batch.

    Args:
        schedule: A function of `tlkit.schedules`, or any function
            `(learning_rate, epochs, steps_per_epoch, **arguments)` that returns
            a function of the step.
        arguments: The schedule's own arguments.

    The learning rate that the optimizer has when training begins is where the
    schedule starts; epochs and steps are those of `fit`. The rate of the last
    step of an epoch appears in its logs as `learning_rate`.

    Raises:
        ValueError: when training begins, if `fit` does not know its number of
            steps, or the optimizer was given a schedule of its own.
    """

    def __init__(self, schedule: Callable[..., Any], **arguments: Any):
        super().__init__()
        self.schedule = schedule
        self.arguments = arguments
        self.step = 0
        self._rate: Callable[[Any], Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        if isinstance(
            getattr(optimizer, "_learning_rate", None),
            keras.optimizers.schedules.LearningRateSchedule,
        ):
            raise ValueError(
                f"{type(self).__name__} sets the learning rate itself; give the optimizer a "
                "number, not a schedule"
            )
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if not steps or not epochs:
            raise ValueError(
                f"{type(self).__name__} needs the number of steps; pass steps_per_epoch to fit"
            )
        accumulate = optimizer.gradient_accumulation_steps or 1
        self._accumulate = accumulate
        self._rate = self.schedule(
            float(optimizer.learning_rate), epochs, max(1, steps // accumulate), **self.arguments
        )
        self.step = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        assert self._rate is not None
        self.model.optimizer.learning_rate = float(self._rate(self.step // self._accumulate))
        self.step += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ExponentialDecay(ScheduledRate):
    """`learning_rate * rate ** (epoch / every_epochs)`; see `tlkit.schedules.exponential`."""

    def __init__(self, rate: float = 0.9, every_epochs: float = 1.0, warmup_epochs: float = 0.0):
        super().__init__(
            schedules.exponential, rate=rate, every_epochs=every_epochs, warmup_epochs=warmup_epochs
        )


class StepDecay(ScheduledRate):
    """`learning_rate * rate ** floor(epoch / every_epochs)`; see `tlkit.schedules.step`."""

    def __init__(self, rate: float = 0.1, every_epochs: float = 10.0, warmup_epochs: float = 0.0):
        super().__init__(
            schedules.step, rate=rate, every_epochs=every_epochs, warmup_epochs=warmup_epochs
        )


class CosineDecay(ScheduledRate):
    """Half a cosine down, with warm-up and restarts; see `tlkit.schedules.cosine`."""

    def __init__(
        self,
        warmup_epochs: float = 0.0,
        end_factor: float = 0.0,
        restart_epochs: float = 0.0,
        restart_growth: float = 2.0,
        restart_factor: float = 1.0,
    ):
        super().__init__(
            schedules.cosine,
            warmup_epochs=warmup_epochs,
            end_factor=end_factor,
            restart_epochs=restart_epochs,
            restart_growth=restart_growth,
            restart_factor=restart_factor,
        )


class NaturalExponentialDecay(ScheduledRate):
    """`learning_rate * exp(-rate * epoch)`; see `tlkit.schedules.natural_exponential`."""

    def __init__(self, rate: float = 0.1, warmup_epochs: float = 0.0):
        super().__init__(schedules.natural_exponential, rate=rate, warmup_epochs=warmup_epochs)


class InverseTimeDecay(ScheduledRate):
    """`learning_rate / (1 + rate * epoch)`; see `tlkit.schedules.inverse_time`."""

    def __init__(self, rate: float = 0.5, every_epochs: float = 1.0, warmup_epochs: float = 0.0):
        super().__init__(
            schedules.inverse_time,
            rate=rate,
            every_epochs=every_epochs,
            warmup_epochs=warmup_epochs,
        )


class PiecewiseDecay(ScheduledRate):
    """`learning_rate * factors[i]` from epoch `boundaries[i]`; see `tlkit.schedules.piecewise`."""

    def __init__(self, boundaries: list[float], factors: list[float], warmup_epochs: float = 0.0):
        super().__init__(
            schedules.piecewise, boundaries=boundaries, factors=factors, warmup_epochs=warmup_epochs
        )


class PolynomialDecay(ScheduledRate):
    """A power of what is left, with cycles; see `tlkit.schedules.polynomial`."""

    def __init__(
        self,
        power: float = 1.0,
        end_factor: float = 0.0,
        cycle_epochs: float = 0.0,
        warmup_epochs: float = 0.0,
    ):
        super().__init__(
            schedules.polynomial,
            power=power,
            end_factor=end_factor,
            cycle_epochs=cycle_epochs,
            warmup_epochs=warmup_epochs,
        )


class OneCycle(ScheduledRate):
    """Up to the learning rate and far down; see `tlkit.schedules.one_cycle`."""

    def __init__(self, rise: float = 0.25, start_divisor: float = 25.0, end_divisor: float = 1e4):
        super().__init__(
            schedules.one_cycle, rise=rise, start_divisor=start_divisor, end_divisor=end_divisor
        )


class ConstantRate(ScheduledRate):
    """One rate, after a warm-up; see `tlkit.schedules.constant`."""

    def __init__(self, warmup_epochs: float = 0.0):
        super().__init__(schedules.constant, warmup_epochs=warmup_epochs)
