"""Decoded images on disk, for the lifetime of the process."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import numpy as np

from tlkit.paths import expanded


def cache_folder(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """tlkit's cache folder: the folder given, TLKIT_CACHE, or ~/.cache/tlkit."""
    if folder is None:
        folder = os.environ.get("TLKIT_CACHE")
    if folder is None:
        folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tlkit")
    return expanded(folder)


def free_disk(folder: pathlib.Path) -> int | None:
    """Free bytes on the disk of an existing or future folder; None if it is not writable."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return None
    return shutil.disk_usage(place).free


def spooled(shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array in an unnamed file, which is deleted when the process ends.

    Raises:
        OSError: if there is not enough room.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, max(1, int(np.prod(shape))))
        return np.memmap(file, np.uint8, "r+", shape=shape)
