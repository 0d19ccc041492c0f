"""Checks each file by itself: whether it is a picture, and whether it is unusual."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from tlkit.data.record import Record
from tlkit.data.transcode import NotDecodable, open_picture, orientation_of, rgb
from tlkit.finding import Finding

SIDE = 32  # side in pixels of the thumbnails that are compared
SMALLEST = 32  # shorter side in pixels below which a picture is called tiny
LONGEST = 4.0  # longer side over shorter
FLAT = 3.0  # standard deviation of the levels below which a picture is blank
COLOURLESS = 2.0  # mean difference of the channels, in levels
FEW_GREY = 0.2  # largest fraction of grey pictures at which they are reported as unusual
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
    "ICO": (".ico",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "QOI": (".qoi",),
}
# a marker after entropy-coded data: 0xFF that is not stuffed, not a fill byte and not a restart
AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclasses.dataclass
class FileInfo:
    """One file as read by Pillow.

    Attributes:
        record: Its record.
        digest: SHA-256 of its bytes.
        problem: Why it is broken, if it is; the attributes below are then empty.
        format: Format name in Pillow.
        size: Width and height in pixels, as stored.
        orientation: EXIF orientation, 1 to 8.
        thumbnail: uint8 `(32, 32, 3)`, upright.
    """

    record: Record
    digest: str = ""
    problem: str | None = None
    format: str = ""
    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    thumbnail: Any = None

    @property
    def is_blank(self) -> bool:
        return bool(self.thumbnail is not None and self.thumbnail.std(axis=(0, 1)).max() < FLAT)

    @property
    def is_grey(self) -> bool:
        if self.thumbnail is None:
            return False
        levels = self.thumbnail.astype("int16")
        return bool(np.abs(levels - levels.mean(-1, keepdims=True)).mean() < COLOURLESS)


def look_at_files(
    records: Sequence[Record], progress: Callable[[int, int], None] | None = None
) -> list[FileInfo]:
    """Reads every file once, on all cores."""
    seen = []
    with ThreadPoolExecutor() as pool:
        for index, item in enumerate(pool.map(look_at_file, records)):
            seen.append(item)
            if progress and (index % 64 == 63 or index + 1 == len(records)):
                progress(index + 1, len(records))
    return seen


def look_at_file(record: Record) -> FileInfo:
    """Reads one file."""
    try:
        data = record.read()
    except OSError as error:
        return FileInfo(record, problem=f"cannot be read: {error.strerror or error}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        with open_picture(data) as image:
            kind, size = str(image.format), image.size
            if kind in ("JPEG", "MPO") and not has_end(data):
                return FileInfo(record, digest, "is cut short: a JPEG without its end")
            orientation = orientation_of(image)
            image.draft("RGB", (4 * SIDE, 4 * SIDE))  # a JPEG need not be decoded at full size
            small = rgb(image).resize((SIDE, SIDE), Image.Resampling.BOX)
    except NotDecodable as error:
        return FileInfo(record, digest, str(error))
    return FileInfo(record, digest, None, kind, size, orientation, np.asarray(small))


def has_end(data: bytes) -> bool:
    """Whether the first picture of a JPEG is complete; data that phones append is ignored.

    Segments are skipped by their lengths, and each scan up to the next marker (ITU-T T.81,
    annex B.1.1).
    """
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:  # some writers leave bytes between segments
            place += 1
            continue
        marker = data[place + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xDA:
            found = AFTER_SCAN.search(data, place)
            if found is None:
                return False
            place = found.start()
    return data[place : place + 2] == b"\xff\xd9"


def file_findings(seen: Sequence[FileInfo]) -> Iterator[Finding]:
    """Findings about single files."""
    yield from (
        Finding("broken", "error", f"{s.record.name} {s.problem}", (s.record.name,))
        for s in seen
        if s.problem is not None
    )
    whole = [s for s in seen if s.problem is None]
    for item in whole:
        yield from _about(item)
    grey = [s for s in whole if s.is_grey and not s.is_blank]
    if grey and len(grey) <= FEW_GREY * len(whole):
        share = f"{len(grey)} of {len(whole)}"
        yield Finding(
            "grey_among_colour",
            "note",
            f"{share} pictures have no colour; if they lie in some classes more than in others, a "
            "network learns that",
            _names(grey),
        )
    turned = [s for s in whole if s.orientation > 1]
    if turned:
        text = (
            f"{len(turned)} pictures are stored turned and say so (EXIF); tlkit puts them upright"
        )
        yield Finding("exif_rotation", "note", text, _names(turned))


def _about(item: FileInfo) -> Iterator[Finding]:
    name, (width, height) = item.record.name, item.size
    suffix = pathlib.PurePath(name).suffix.lower()
    known = {ending for endings in FORMATS.values() for ending in endings}
    if suffix in known and suffix not in FORMATS[item.format]:
        text = f"{name} is {item.format} with the ending {suffix}"
        yield Finding("wrong_extension", "warning", text, (name,))
    if item.is_blank:
        yield Finding("blank", "warning", f"{name} is one flat colour", (name,))
    short, long = sorted((width, height))
    if short < SMALLEST:
        text = f"{name} has {width} x {height} pixels"
        yield Finding("tiny", "warning", text, (name,), -float(short))
    if long > LONGEST * short:
        text = f"{name} is {width} x {height}: cut to its centre or squashed, little of it is left"
        yield Finding("extreme_aspect", "warning", text, (name,), long / short)


def _names(items: Iterable[FileInfo]) -> tuple[str, ...]:
    return tuple(item.record.name for item in items)
