"""Multi-label: any number of labels per image, including none."""

from tlkit.tasks.multi_label.task import MultiLabel

__all__ = ["MultiLabel"]
