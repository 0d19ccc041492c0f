"""Writes EXIF blocks by hand, so that the reader is tested against the format itself."""

from __future__ import annotations

import struct


def tiff(orientation: int, order: str) -> bytes:
    """A TIFF header with one directory of two entries: ImageWidth and Orientation."""
    sign = "<" if order == "little" else ">"
    mark = b"II" if order == "little" else b"MM"
    header = mark + struct.pack(sign + "HI", 42, 8)
    width = struct.pack(sign + "HHIHH", 0x0100, 3, 1, 99, 0)
    entry = struct.pack(sign + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return header + struct.pack(sign + "H", 2) + width + entry + struct.pack(sign + "I", 0)


def insert(jpeg: bytes, orientation: int, order: str) -> bytes:
    """The JPEG with an APP1 segment behind its start mark."""
    block = b"Exif\0\0" + tiff(orientation, order)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
