"""Optimizers by name, learning rates by variable, adaptive clipping."""

from tlkit.optimizers.adaptive_clipping import adaptive_clip, with_adaptive_clipping
from tlkit.optimizers.multipliers import with_multipliers

__all__ = ["adaptive_clip", "with_adaptive_clipping", "with_multipliers"]
