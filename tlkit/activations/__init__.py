"""Activations by name, as layers; a head's `activation` takes these names."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
