"""Multi-label: any number of labels an image, none among them."""

from tlkit.tasks.multi_label.task import MultiLabel

__all__ = ["MultiLabel"]
