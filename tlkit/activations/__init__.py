"""Activations by name, as layers; a head's `activation` takes these names."""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
