"""Files compressed as a whole, GZIP or ZLIB: streamed, or unpacked in the cache."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

from tlkit.data.archive import CHUNK, Budget, content_key
from tlkit.data.spool import cache_folder
from tlkit.errors import DataError

AUTOMATIC = zlib.MAX_WBITS | 32  # zlib detects which of the two it is


def is_compressed(head: bytes) -> bool:
    """Whether a file with these first bytes is GZIP (RFC 1952) or ZLIB (RFC 1950)."""
    if head[:2] == b"\x1f\x8b":
        return True
    return len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0


def unpacked_head(head: bytes, count: int) -> bytes:
    """The first unpacked bytes of a compressed file with these first bytes; empty for others."""
    if is_compressed(head):
        with contextlib.suppress(zlib.error):
            return zlib.decompressobj(AUTOMATIC).decompress(head, count)[:count]
    return b""


def decompressed(file: pathlib.Path) -> pathlib.Path:
    """The unpacked copy of a GZIP or ZLIB file, which can be read from any position.

    Raises:
        DataError: if it is damaged or a decompression bomb, or there is no room.
    """
    root = cache_folder() / "archives"
    place = root / content_key(file)
    if place.is_file():
        with contextlib.suppress(OSError):
            os.utime(place)  # so that files in use are pruned last
        return place
    budget = Budget(file)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root, delete=False) as target:
            try:
                with open(file, "rb") as stream:
                    for chunk in _unpacked(stream):
                        budget.take(len(chunk))
                        target.write(chunk)
                os.replace(target.name, place)
            except BaseException:
                os.unlink(target.name)
                raise
    except (zlib.error, EOFError) as error:
        raise DataError(f"is damaged or cut short: {error}", where=str(file)) from None
    except OSError as error:
        raise DataError(
            f"cannot be unpacked into {root}: {error.strerror}", where=str(file)
        ) from None
    return place


def _unpacked(stream: IO[bytes]) -> Iterator[bytes]:
    """The content in chunks, of one or several consecutive compressed streams."""
    unpacker = None
    while data := stream.read(CHUNK):
        while data:
            unpacker = unpacker or zlib.decompressobj(AUTOMATIC)
            yield unpacker.decompress(data, CHUNK)
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data, unpacker = unpacker.unused_data.lstrip(b"\0"), None
    while unpacker is not None and not unpacker.eof:
        rest = unpacker.decompress(b"", CHUNK)
        if not rest and not unpacker.eof:
            raise EOFError("its end is missing")
        yield rest
