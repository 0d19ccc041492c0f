"""Reads regular files only, and no more bytes than the file had when it was opened."""

from __future__ import annotations

import dataclasses
import errno
import functools
import os
import stat
from collections.abc import Callable

from tlkit.data.file_kind import HEAD

MOST_BYTES = 1 << 30  # largest picture file


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads the bytes of a picture.

    Raises:
        OSError: if it does not exist, is not a regular file, or is too large for a picture. Reading
            never waits for a pipe, and stops at the size that the file had when it was opened.
    """
    return _read(path, None)


def read_head(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, for `file_kind`; raises the same errors as `read_file`."""
    return _read(path, HEAD)


@dataclasses.dataclass(frozen=True)
class MissingFile:
    """Reader of a named image that is not a regular file; calling it raises the reason.

    Attributes:
        reason: Reason given by the system.
    """

    reason: str

    def __call__(self) -> bytes:
        raise FileNotFoundError(errno.ENOENT, self.reason)


def reader(path: str | os.PathLike[str]) -> Callable[[], bytes]:
    """A reader of a named picture: `read_file`, or `MissingFile` if it is not a regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return MissingFile(str(error.strerror))
    if not stat.S_ISREG(mode):
        return MissingFile(f"is {special(mode)}")
    return functools.partial(read_file, path)


def _read(path: str | os.PathLike[str], most: int | None) -> bytes:
    # a pipe without a writer would block the caller forever
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, f"is {special(state.st_mode)}")
        if most is None and state.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"has {state.st_size / 1e9:.1f} GB")
        with open(handle, "rb", buffering=0 if most else -1, closefd=False) as stream:
            return stream.read(state.st_size if most is None else most)
    finally:
        os.close(handle)


def special(mode: int) -> str:
    """What a path that is not a regular file is, by its mode."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe (FIFO)"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "no regular file")
