"""Preprocessing steps, fitted on the training images and saved in the model."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
