"""Losses, one file a loss: Keras losses on logits, with class ids, one-hot or soft labels."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
