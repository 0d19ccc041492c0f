"""Mixout: randomly swaps weights back to their pretrained values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tlkit.limits import Fraction, number
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("mixout", acts="weights")
class Mixout:
    """Uses the pretrained value of each weight with probability `rate` during training.

    w' = (M w0 + (1 - M) w - rate w0) / (1 - rate), where each entry of M is 1 with
    probability `rate`, drawn at every step; the expectation of w' is w. With
    w0 = 0 it is DropConnect. (Lee et al. 2020, "Mixout: Effective Regularization
    to Finetune Large-scale Pretrained Language Models", equation 5.)

    Call it with a weight inside the loss. tlkit's loop does so at each step for the chosen
    weights, except new ones, which have no pretrained value.

    Args:
        start: w0, an array of the weight's shape.
        rate: Probability of using the pretrained value, in [0, 1).
        seed: Seed of the random draws.

    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(self, start: Any, *, rate: Fraction = 0.3, seed: int | None = None):
        self.start = np.asarray(start, "float32")
        self.rate = number("rate", rate, least=0, below=1)
        self.generator = keras.random.SeedGenerator(seed)

    def __call__(self, weight: Tensor) -> Tensor:
        """The mixed weight; gradients flow through it to the weight."""
        back = keras.random.uniform(self.start.shape, seed=self.generator) < self.rate
        mixed = keras.ops.where(back, self.start, weight)
        return (mixed - self.rate * self.start) / (1.0 - self.rate)
