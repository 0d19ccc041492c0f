"""Optimizers by name, learning rates per variable, and adaptive gradient clipping."""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.optimizers.adaptive_clipping import adaptive_clip
from tlkit.optimizers.by_variable import with_adaptive_clipping, with_multipliers

__all__ = ["adaptive_clip", "with_adaptive_clipping", "with_multipliers"]
