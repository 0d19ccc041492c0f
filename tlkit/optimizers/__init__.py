"""Optimizers by name, and learning rates by variable."""

from tlkit.optimizers.multipliers import with_multipliers

__all__ = ["with_multipliers"]
