"""Decoded images on disk, for as long as the process lives."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import numpy as np

from tlkit.paths import expanded


def cache_folder(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Where tlkit keeps what can be made again: the folder given, TLKIT_CACHE, or ~/.cache/tlkit."""
    if folder is None:
        folder = os.environ.get("TLKIT_CACHE")
    if folder is None:
        folder = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tlkit")
    return expanded(folder)


def free_disk(folder: pathlib.Path) -> int | None:
    """Bytes free where a folder is or will be; None where it cannot be written."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return None
    return shutil.disk_usage(place).free


def spooled(shape: tuple[int, ...]) -> np.ndarray:
    """An array of uint8 in a file without a name, which is gone when the process is.

    Raises:
        OSError: if there is no room for all of it.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, max(1, int(np.prod(shape))))
        return np.memmap(file, np.uint8, "r+", shape=shape)
