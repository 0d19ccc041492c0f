"""The learning rate found by a sweep: up and up until the loss rises."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.data.pipeline import batches, epoch_order
from tlkit.errors import RunFailed
from tlkit.train.pipeline_augment import augmented
from tlkit.train.rescue import rescued
from tlkit.train.training import Training, putting_back

if TYPE_CHECKING:
    from tlkit.train.loop import Prepared

SWEEP_START, SWEEP_END, SWEEP_STEPS = 1e-6, 1.0, 100
WIDTH = 3.0  # steps, the deviation of the Gaussian by which losses are smoothed
FLAT = 0.05  # share of the whole fall that counts as none
RISEN = 4.0  # times the range so far by which the loss must rise to end the sweep
ORDER = 2**20  # of the images: that of no epoch


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep over learning rates.

    Attributes:
        rates: Of each update.
        losses: Of each update's batches.
        smoothed: The same, smoothed.
        steepest: The rate at which the smoothed loss falls fastest.
        valley: The rate two thirds of the way from where the loss begins to fall to where it
            is least, which leaves room above it.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steepest: float
    valley: float


def sweep_rates(
    training: Training,
    ready: Prepared,
    low: float = SWEEP_START,
    high: float = SWEEP_END,
    steps: int = SWEEP_STEPS,
) -> Sweep:
    """Trains for some updates at rates that grow by the same factor, then puts everything back.

    (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.)

    Args:
        training: What the stages share.
        ready: The stage.
        low: First rate.
        high: Last rate.
        steps: Updates of the sweep; fewer are made where the loss has risen far.

    Raises:
        RunFailed: if the loss is not a number from the start on, or memory is too small.
    """
    put_back = putting_back([
        *training.network.model.variables, *ready.optimizer.variables, *ready.seeds,
        *([*ready.average.averages, ready.average.updates] if ready.average else []),
    ])  # fmt: skip
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    given = _images(training, ready)
    try:
        for rate in rates:
            ready.optimizer.learning_rate = float(rate)
            taken = [_step(training, ready, *next(given)) for _ in range(ready.accumulation)]
            loss = float(np.mean(taken))
            if not np.isfinite(loss):
                break
            losses.append(loss)
            if len(losses) > 10 and loss > losses[0] + RISEN * (losses[0] - min(losses) + 0.1):
                break
    finally:
        put_back()
    if len(losses) < 10:
        raise RunFailed(
            f"no learning rate was found: the loss was no number after {len(losses)} steps of the "
            f"sweep, at {rates[len(losses)]:.2g}.",
            hint="Name the rate, and look at the data with: tlkit check",
        )
    return suggest(rates[: len(losses)], np.array(losses))


def _step(training: Training, ready: Prepared, images: Any, labels: Any) -> float:
    """The loss of a step, which is taken in parts where memory is small."""
    loss, _, _ = rescued(ready.step, images, labels, training, ready.stage, ready.plan)
    return float(loss)


def _images(training: Training, ready: Prepared) -> Any:
    """Batches without end, in another order than any epoch's."""
    data, size = ready.dataset, ready.stage.batch_size or 1
    number = 0
    while True:
        train = data.train.in_epoch(number)
        order = epoch_order(len(train), training.seed, ORDER + number)
        given = batches(train, data.prepare, size, order)
        if ready.ahead:
            place = (training.seed, ORDER + number, 0)
            given = augmented(given, ready.ahead, training.network.task, place)
        yield from given
        number += 1


def suggest(rates: np.ndarray, losses: np.ndarray) -> Sweep:
    """Reads a sweep.

    Args:
        rates: Growing by the same factor, `(steps,)`.
        losses: `(steps,)`.
    """
    places = np.arange(len(losses))
    weights = np.exp(-0.5 * ((places[:, None] - places[None, :]) / WIDTH) ** 2)
    smoothed = weights @ losses / weights.sum(1)
    slope = np.gradient(smoothed)
    best = int(smoothed.argmin())
    steepest = int(slope[: best + 1].argmin())
    fallen = smoothed[0] - smoothed <= FLAT * (smoothed[0] - smoothed[best])
    first = int(np.flatnonzero(fallen[: best + 1]).max(initial=0))
    valley = first + (2 * (best - first)) // 3
    return Sweep(rates, losses, smoothed, float(rates[steepest]), float(rates[valley]))
