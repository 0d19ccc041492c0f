"""Classification: one class an image."""

from tlkit.tasks.classification.task import Classification

__all__ = ["Classification"]
