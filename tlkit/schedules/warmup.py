"""Linear warm-up of the learning rate before any other schedule."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import number
from tlkit.step_count import whole_steps
from tlkit.tensors import KerasSchedule

# factor by which a length may be off, so that a step at the very end of it falls on the right side
# in float32
NUDGE = 4e-7


@keras.saving.register_keras_serializable("tlkit")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly for `steps` steps, then follows another schedule from its start.

    At step t < steps the rate is `(t + 1) / (steps + 1)` times the schedule's first
    rate, so no step has a learning rate of zero. (Goyal et al. 2017, "Accurate, Large
    Minibatch SGD", section 2.2, gradual warmup.)

    Args:
        schedule: Following schedule, a `LearningRateSchedule`.
        steps: Length of the warm-up in optimizer steps, 0 or more; may be fractional.

    Raises:
        ValueError: if `steps` is negative.
    """

    def __init__(self, schedule: Any, steps: float):
        super().__init__()
        self.schedule = schedule
        self.steps = number("steps", steps, least=0)

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


def with_warmup(schedule: Any, warmup_epochs: float, steps_per_epoch: float) -> KerasSchedule:
    """Returns `schedule` after a linear warm-up of `warmup_epochs`."""
    steps = number("warmup_epochs", warmup_epochs, least=0) * steps_per_epoch
    return Warmup(schedule, steps) if steps else schedule


def steps_after_warmup(epochs: float, warmup_epochs: float, steps_per_epoch: float) -> float:
    """Returns the optimizer steps left for the schedule itself, at least 1."""
    warmup = number("warmup_epochs", warmup_epochs, least=0)
    return max(1.0, whole_steps(epochs, steps_per_epoch) - warmup * steps_per_epoch)
