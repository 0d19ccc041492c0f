"""One file's bytes, of a regular file only, and no more than it had when it was opened."""

from __future__ import annotations

import dataclasses
import errno
import functools
import os
import stat
from collections.abc import Callable

from tlkit.data.file_kind import HEAD

MOST_BYTES = 1 << 30  # of a picture


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a picture.

    Raises:
        OSError: if it is not there, is no regular file, or is larger than any picture. A pipe is not
            waited for, and a file that is being written ends where it ended when it was opened.
    """
    return _read(path, None)


def read_head(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, for `file_kind`; raises as `read_file` does."""
    return _read(path, HEAD)


@dataclasses.dataclass(frozen=True)
class Absent:
    """Reads an image that is named and is no file; it says why.

    Attributes:
        reason: As the system says it.
    """

    reason: str

    def __call__(self) -> bytes:
        raise FileNotFoundError(errno.ENOENT, self.reason)


def reader(path: str | os.PathLike[str]) -> Callable[[], bytes]:
    """Reads a picture that somebody names: `read_file`, or `Absent` where there is no regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return Absent(str(error.strerror))
    if not stat.S_ISREG(mode):
        return Absent(f"is {special(mode)}")
    return functools.partial(read_file, path)


def _read(path: str | os.PathLike[str], most: int | None) -> bytes:
    # a pipe without a writer would keep the caller waiting for ever
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
    """What something is that is no regular file, by its mode."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe (FIFO)"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "no regular file")
