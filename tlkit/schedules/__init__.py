"""Learning-rate schedules, one file each; each returns a Keras `LearningRateSchedule`.

They take the initial learning rate, the number of epochs and the steps per epoch,
then their own arguments, in epochs.
"""

from __future__ import annotations

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import SCHEDULES
from tlkit.schedules.one_cycle import OneCycle
from tlkit.schedules.warmup import Warmup, with_warmup

# at once, since each function has the name of its own file
_FUNCTIONS = {entry.attribute: entry.load() for entry in SCHEDULES.packaged.values()}
globals().update(_FUNCTIONS)
__all__ = ["OneCycle", "Warmup", "with_warmup", *_FUNCTIONS]
