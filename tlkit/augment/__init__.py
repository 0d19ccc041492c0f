"""Augmentations for images in [0, 255], by short names; own ones are one file each."""

from tlkit.registry import exports

__getattr__, __dir__ = exports(__name__)
