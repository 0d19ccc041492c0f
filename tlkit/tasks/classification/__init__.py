"""Classification: one class per image."""

from tlkit.tasks.classification.task import Classification

__all__ = ["Classification"]
