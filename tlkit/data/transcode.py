"""Converts files of all common formats into files that the one decoder accepts."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from tlkit.data.decode import MOST_PIXELS, ORIENTATION
from tlkit.data.file_kind import HEAD, file_kind

# Pillow's names of the supported formats
FORMATS = (
    "JPEG",
    "MPO",
    "PNG",
    "BMP",
    "GIF",
    "WEBP",
    "TIFF",
    "AVIF",
    "ICO",
    "JPEG2000",
    "PPM",
    "QOI",
    "HEIF",
)
SAVED = "save it as PNG or JPEG"
TOO_MANY = f"is too large: more than {MOST_PIXELS:,} pixels may be an attack on the memory"
INSTALLED = "install: pip install 'tlkit[heif]'"


class NotDecodable(ValueError):  # noqa: N818 - it says what is so
    """A file is not a picture that tlkit reads; the message continues after the file's name."""


class TooManyPixels(NotDecodable):
    """A picture whose pixels would exhaust the memory."""


def decodable(data: bytes, lossless_form: str = "BMP") -> bytes:
    """The file itself, or the same picture in a format that `tlkit.data.decode.decode` takes.

    JPEG, PNG and still WebP are returned unchanged. Of BMP, GIF, animated WebP, TIFF, AVIF,
    HEIC, ICO, JPEG 2000, PPM and QOI, Pillow decodes the first frame or page, upright by EXIF;
    16-bit levels keep their high byte, as in PNG.

    Args:
        data: Bytes of the file.
        lossless_form: Format in which pictures decoded by Pillow are written, `BMP` or `PNG`.

    Raises:
        NotDecodable: if it is not a picture, of an unsupported format, or damaged.
    """
    kind = file_kind(data[:HEAD])
    if kind in ("JPEG", "PNG") or (kind == "WEBP" and not _moves(data)):
        return data
    with open_picture(data) as image:
        picture = rgb(image)
    buffer = io.BytesIO()
    picture.save(buffer, lossless_form, **({"compress_level": 1} if lossless_form == "PNG" else {}))
    return buffer.getvalue()


def _moves(data: bytes) -> bool:
    """Whether a WebP's header marks it as animated (RFC 9649, section 2.7)."""
    return data[12:16] == b"VP8X" and bool(data[20:21]) and bool(data[20] & 2)


def open_picture(data: bytes) -> Image.Image:
    """Opens a file with Pillow, without decoding its pixels.

    Raises:
        NotDecodable: if it is not a picture, or of an unsupported format.
        TooManyPixels: if it has more than `MOST_PIXELS`.
    """
    if not data:
        raise NotDecodable("is empty")
    kind = file_kind(data[:HEAD])
    if kind in ("HEIC", "HEIF"):
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            raise NotDecodable(f"is {kind}; {INSTALLED}, or {SAVED}") from None
        register_heif_opener()
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        raise TooManyPixels(TOO_MANY) from None
    # Pillow's plugins may raise anything on a broken header
    except Exception:
        raise NotDecodable(_what_it_is(kind)) from None
    if image.width * image.height > MOST_PIXELS:
        raise TooManyPixels(TOO_MANY)
    return image


def _what_it_is(kind: str | None) -> str:
    if kind == "text":
        return "is text, not a picture"
    if kind is None:
        return "is not a picture"
    if kind in FORMATS and kind in Image.OPEN:
        return f"does not decode: the header of this {kind} is damaged"
    return f"is {kind}, which tlkit does not decode; {SAVED}"


def rgb(image: Image.Image) -> Image.Image:
    """An opened picture decoded to upright 8-bit RGB.

    Raises:
        NotDecodable: if it is damaged, or its levels have no known range.
    """
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            levels = np.asarray(upright).astype(np.uint16) >> 8
            return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
        if upright.mode in ("I", "F"):
            _expect_levels(upright)
        upright.info.pop("transparency", None)  # dropped; Pillow would warn about it
        return upright.convert("RGB")
    except NotDecodable:
        raise
    # Pillow's decoders may raise anything
    except Exception as error:
        raise NotDecodable(f"does not decode: {error}") from error


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an opened picture, 1 to 8.

    Raises:
        NotDecodable: if it is damaged.
    """
    try:
        found = image.getexif().get(ORIENTATION, 1)
    # as above: for a PNG, this reads the whole file
    except Exception as error:
        raise NotDecodable(f"does not decode: {error}") from error
    return found if found in range(1, 9) else 1


def _expect_levels(image: Image.Image) -> None:
    """Rejects 32-bit levels that cannot be 8-bit values."""
    low, high = np.asarray(image).min(), np.asarray(image).max()
    if not (low >= 0 and high <= 255 and (high > 1 or low == high)):
        raise NotDecodable(
            f"has levels from {low:g} to {high:g} in 32 bits, of which nothing says what is white; "
            "save it with 8 or 16 bits"
        )
