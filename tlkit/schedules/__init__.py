"""Learning-rate schedules, one file each; every one returns a Keras `LearningRateSchedule`.

They take the learning rate to start from, the epochs and the steps an epoch
has, then their own arguments, in epochs.
"""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.schedules.constant import constant
from tlkit.schedules.cosine import cosine
from tlkit.schedules.exponential import exponential
from tlkit.schedules.inverse_time import inverse_time
from tlkit.schedules.natural_exponential import natural_exponential
from tlkit.schedules.one_cycle import OneCycle, one_cycle
from tlkit.schedules.piecewise import piecewise
from tlkit.schedules.polynomial import polynomial
from tlkit.schedules.step import step
from tlkit.schedules.warmup import Warmup, with_warmup

__all__ = [
    "OneCycle",
    "Warmup",
    "constant",
    "cosine",
    "exponential",
    "inverse_time",
    "natural_exponential",
    "one_cycle",
    "piecewise",
    "polynomial",
    "step",
    "with_warmup",
]
