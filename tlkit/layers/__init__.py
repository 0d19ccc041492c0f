"""Layers that Keras lacks, one concept a file; they need Keras and nothing else of tlkit."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
