"""Adversarial attacks for adversarial training, one file an attack."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
