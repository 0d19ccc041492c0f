"""The learning rate found by a sweep: raise it until the loss rises."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.data.pipeline import batches, epoch_order
from tlkit.errors import RunFailed
from tlkit.tensors import Tensor
from tlkit.train.context import RunContext
from tlkit.train.pipeline_augment import augmented
from tlkit.train.putting_back import putting_back
from tlkit.train.rescue import rescued
from tlkit.train.step import read_values

if TYPE_CHECKING:
    from tlkit.train.stage_setup import StageSetup

SWEEP_START, SWEEP_END, SWEEP_STEPS = 1e-6, 1.0, 100
WIDTH = 3.0  # steps; standard deviation of the Gaussian that smooths the losses
FLAT = 0.05  # fraction of the total fall that counts as no fall
RISEN = 4.0  # the sweep ends when the loss rises by this many times its range so far
ORDER = 2**20  # number of the image order, which no epoch uses


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep over learning rates.

    Attributes:
        rates: Learning rate of each update.
        losses: Loss of each update's batches.
        smoothed: Smoothed losses.
        steepest: Rate at which the smoothed loss falls fastest.
        valley: Rate two thirds of the way from where the loss begins to fall to its minimum, which
            leaves a margin above it.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steepest: float
    valley: float


def sweep_rates(
    context: RunContext,
    setup: StageSetup,
    low: float = SWEEP_START,
    high: float = SWEEP_END,
    steps: int = SWEEP_STEPS,
) -> Sweep:
    """Trains for some updates at exponentially growing rates, then restores everything.

    (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.)

    Args:
        context: Context shared by all stages.
        setup: Setup of the stage.
        low: First rate.
        high: Last rate.
        steps: Updates of the sweep; fewer if the loss has risen far.

    Raises:
        RunFailed: if the loss is not finite from the start, or memory is too small.
    """
    put_back = putting_back([
        *context.network.model.variables, *setup.optimizer.variables, *setup.seeds,
        *([*setup.average.averages, setup.average.updates] if setup.average else []),
    ])  # fmt: skip
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    given = _images(context, setup)
    try:
        for rate in rates:
            setup.optimizer.learning_rate = float(rate)
            taken = [_step(context, setup, *next(given)) for _ in range(setup.accumulation)]
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


def _step(context: RunContext, setup: StageSetup, images: Tensor, labels: Tensor) -> float:
    """The loss of a step, which is computed in parts if memory is small."""
    return read_values(rescued(setup, images, labels, context)).loss


def _images(context: RunContext, setup: StageSetup) -> Any:
    """Endless batches, in an order that no epoch uses."""
    data, size = setup.dataset, setup.stage.batch_size or 1
    number = 0
    while True:
        train = data.train.in_epoch(number)
        order = epoch_order(len(train), context.seed, ORDER + number)
        given = batches(train, data.prepare, size, order)
        if setup.ahead:
            place = (context.seed, ORDER + number, 0)
            given = augmented(given, setup.ahead, context.network.task, place)
        yield from given
        number += 1


def suggest(rates: np.ndarray, losses: np.ndarray) -> Sweep:
    """Suggests rates from the results of a sweep.

    Args:
        rates: Exponentially growing rates, `(steps,)`.
        losses: Losses, `(steps,)`.
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
