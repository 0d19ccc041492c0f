"""Paths as people write them, and as they can be shown."""

from __future__ import annotations

import os
import pathlib


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path with its `~`; a file that is called `~thing`, or a `~user` that nobody is, stays as it is."""
    given = os.fspath(path)
    home = given == "~" or given.startswith("~/")
    return pathlib.Path(given if not home and os.path.lexists(given) else os.path.expanduser(given))


def legible(name: str | os.PathLike[str]) -> str:
    r"""A file's name as text that can be written anywhere: bytes that are no UTF-8 become `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
