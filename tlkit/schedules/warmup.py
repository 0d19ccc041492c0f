"""A linear rise of the learning rate before any other schedule."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import number


@keras.saving.register_keras_serializable("tlkit")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly for `steps`, then follows another schedule from its start.

    At step t < steps the rate is `(t + 1) / (steps + 1)` of the schedule's first
    rate, so no step is taken at zero. (Goyal et al. 2017, "Accurate, Large
    Minibatch SGD", section 2.2, gradual warmup.)

    Args:
        schedule: A `LearningRateSchedule`.
        steps: Length of the rise in optimizer steps, 0 or more.

    Raises:
        ValueError: if `steps` is negative.
    """

    def __init__(self, schedule: Any, steps: int):
        super().__init__()
        if steps < 0:
            raise ValueError(f"steps must be 0 or more, got {steps}")
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        steps = float(self.steps)
        rising = self.schedule(0.0) * (step + 1.0) / (steps + 1.0)
        after = self.schedule(keras.ops.maximum(step - steps, 0.0))
        return keras.ops.where(step < steps, rising, after)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Warmup:
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"])


def with_warmup(schedule: Any, warmup_epochs: float, steps_per_epoch: int) -> Any:
    """`schedule` after a rise of `warmup_epochs`; as it is where that is less than a step."""
    steps = round(number("warmup_epochs", warmup_epochs, least=0) * steps_per_epoch)
    return Warmup(schedule, steps) if steps else schedule


def steps_after_warmup(epochs: float, warmup_epochs: float, steps_per_epoch: int) -> int:
    """Optimizer steps that are left for the schedule itself, at least 1."""
    warmup = number("warmup_epochs", warmup_epochs, least=0)
    return max(1, round(epochs * steps_per_epoch) - round(warmup * steps_per_epoch))
