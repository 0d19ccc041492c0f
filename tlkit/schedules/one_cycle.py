"""The 1cycle policy."""

from __future__ import annotations

import math
from typing import Annotated, Any

import keras

from tlkit.limits import number, whole, within
from tlkit.registry import register
from tlkit.step_count import whole_steps
from tlkit.tensors import KerasSchedule


@keras.saving.register_keras_serializable("tlkit")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises to the peak along half a cosine, then falls far below the initial rate.

    (Smith and Topin 2019, "Super-Convergence"; both halves follow a cosine, as in
    fastai.)

    Args:
        peak: Highest learning rate.
        steps: Total number of optimizer steps.
        rise: Fraction of the steps in which the rate rises, in (0, 1).
        start_divisor: Divisor of the peak; the first rate is `peak / start_divisor`.
        end_divisor: Divisor of the first rate; the last rate is
            `peak / start_divisor / end_divisor`.

    Raises:
        ValueError: if `steps` or a divisor is below 1, or `rise` is outside (0, 1).
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        rise: float = 0.25,
        start_divisor: float = 25.0,
        end_divisor: float = 1e4,
    ):
        super().__init__()
        self.peak = number("peak", peak, least=0)
        self.steps = whole("steps", steps)
        self.rise = number("rise", rise, above=0, below=1)
        self.start_divisor = number("start_divisor", start_divisor, least=1)
        self.end_divisor = number("end_divisor", end_divisor, least=1)

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        top = max(1.0, self.rise * self.steps)
        start = self.peak / self.start_divisor
        end = start / self.end_divisor

        def anneal(first: float, last: float, share: Any) -> Any:
            share = keras.ops.clip(share, 0.0, 1.0)
            return last + (first - last) * (1.0 + keras.ops.cos(math.pi * share)) / 2.0

        rising = anneal(start, self.peak, step / top)
        falling = anneal(self.peak, end, (step - top) / max(1.0, self.steps - top))
        return keras.ops.where(step < top, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "steps": self.steps,
            "rise": self.rise,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
        }


@register("one_cycle", callback="OneCycle")
def one_cycle(
    learning_rate: float,
    epochs: float,
    steps_per_epoch: float = 1,
    *,
    rise: Annotated[float, within(0.01, 0.99)] = 0.25,
    start_divisor: Annotated[float, within(1, 1e6)] = 25.0,
    end_divisor: Annotated[float, within(1, 1e8)] = 1e4,
) -> KerasSchedule:
    """Rises to `learning_rate`, then falls far below the initial rate (Smith and Topin 2019).

    Args:
        learning_rate: Highest learning rate.
        epochs: Length of the stage.
        steps_per_epoch: Updates per epoch; may be fractional with gradient accumulation.
        rise: Fraction of the steps in which the rate rises, above 0.
        start_divisor: Divisor for the first rate, which is `learning_rate / start_divisor`.
        end_divisor: Divisor for the last rate, which is the first rate divided by this.
    """
    steps = max(1, whole_steps(epochs, steps_per_epoch))
    return OneCycle(learning_rate, steps, rise, start_divisor, end_divisor)
