"""Paths as users write them, and in printable form."""

from __future__ import annotations

import os
import pathlib


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """Expands `~`; a file named `~thing` and an unknown `~user` are left unchanged."""
    given = os.fspath(path)
    home = given == "~" or given.startswith("~/")
    return pathlib.Path(given if not home and os.path.lexists(given) else os.path.expanduser(given))


def legible(name: str | os.PathLike[str]) -> str:
    r"""A file name as text that can be written anywhere: bytes that are not UTF-8 become `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
