"""Regression: one or more numbers per image."""

from tlkit.tasks.regression.task import Regression

__all__ = ["Regression"]
