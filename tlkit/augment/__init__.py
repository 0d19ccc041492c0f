"""Augmentations for images in [0, 255], by short names; own ones are one file each."""

import keras  # noqa: F401 - before the files here, which `tlkit.serializable` imports with it

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
