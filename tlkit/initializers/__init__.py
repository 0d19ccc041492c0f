"""Initial values by name, for heads and other new layers."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
