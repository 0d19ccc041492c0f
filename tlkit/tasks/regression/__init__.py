"""Regression: one number an image, or several."""

from tlkit.tasks.regression.task import Regression

__all__ = ["Regression"]
