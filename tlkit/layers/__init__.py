"""Layers that Keras lacks, one concept a file; they need Keras and nothing else of tlkit."""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
