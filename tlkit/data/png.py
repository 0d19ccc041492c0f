"""Encodes pixels as a PNG file whose bytes depend only on the pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np

COLOUR = {1: 0, 3: 2}  # PNG colour type by number of channels
BLOCK = 65_535  # largest stored block in bytes


def as_png(pixels: np.ndarray) -> bytes:
    """An uncompressed PNG.

    The split of a data set and the feature cache depend on the bytes of files. Compressed bytes
    depend on the library's version; stored ones do not, and they take no time.
    (ISO/IEC 15948; RFC 1950 and 1951, section 3.2.4.)

    Args:
        pixels: uint8 `(height, width, 1 or 3)`.
    """
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # a row starts with its filter, 0
    rows[:, 1:] = pixels.reshape(height, -1)
    data = rows.tobytes()
    blocks = []
    for start in range(0, len(data), BLOCK):
        part = data[start : start + BLOCK]
        last = start + BLOCK >= len(data)
        blocks += [struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF), part]
    stream = b"".join((b"\x78\x01", *blocks, struct.pack(">I", zlib.adler32(data))))
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
