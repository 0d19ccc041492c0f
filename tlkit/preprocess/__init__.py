"""Preprocessing steps, fitted on the training images and saved in the model."""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
