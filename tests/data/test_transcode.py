"""Files of every format that people have, against Pillow's picture of them."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tests import exif_block
from tests.data.test_decode import encoded, picture
from tlkit.data.decode import decode, why_not_decoded
from tlkit.data.transcode import NotDecodable, TooManyPixels, decodable

in_a_graph = tf.function(decode, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
RGB = np.asarray(picture())
HEIGHT, WIDTH = RGB.shape[:2]
GREY = np.asarray(picture("L"))


def truth(data: bytes) -> np.ndarray:
    """Pillow's picture; of 16-bit levels the high byte, as libpng has it."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return np.asarray(image.convert("RGB"))


def rows(pixels: np.ndarray) -> bytes:
    """Rows from the last to the first, each of a multiple of four bytes."""
    return b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in pixels[::-1])


def bmp(bits, packing, pixels, palette=b"", masks=b"", height=HEIGHT) -> bytes:
    start = 54 + len(masks) + len(palette)
    head = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, height, 1, bits, packing, len(pixels), 0, 0, len(palette) // 4, 0
    )
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
        + head
        + masks
        + palette
        + pixels
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour, depth, lines, interlaced=0) -> bytes:
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    raw = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", raw) + chunk(b"IEND", b"")


def adam7(image):
    for y, x, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
    ):  # fmt: skip
        yield from (row.tobytes() for row in image[y::down, x::right])


def with_canvas(gif: bytes, width: int, height: int) -> bytes:
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:]


def files():
    """Name, file, and whether the graph alone takes it."""
    colours = b"".join(bytes((i, 255 - i, i // 2, 0)) for i in range(256))
    five = (RGB >> 3).astype("<u2") @ np.array([1 << 10, 1 << 5, 1], "<u2")
    six = (
        ((RGB[..., 0] >> 3).astype("<u2") << 11)
        + ((RGB[..., 1] >> 2).astype("<u2") << 5)
        + (RGB[..., 2] >> 3)
    )
    runs = b"".join(b"".join(bytes((1, v)) for v in row) + b"\0\0" for row in GREY[::-1]) + b"\0\1"
    four = np.pad(GREY >> 4, [(0, 0), (0, 1)])
    four = four[:, ::2] << 4 | four[:, 1::2]
    bgrx = np.dstack([RGB[..., ::-1], np.zeros_like(GREY)])
    yield "bmp 1", encoded(picture("1"), "BMP"), False
    yield "bmp 4", bmp(4, 0, rows(four), colours[:64]), False
    yield "bmp 8", bmp(8, 0, rows(GREY), colours), True
    yield "bmp 8 short palette", bmp(8, 0, rows(GREY >> 4), colours[:64]), True
    yield "bmp rle8", bmp(8, 1, runs, colours), False
    yield "bmp 16", bmp(16, 0, rows(five)), False
    yield (
        "bmp 565",
        bmp(16, 3, rows(six.astype("<u2")), masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)),
        False,
    )
    yield "bmp 24 from the top", bmp(24, 0, rows(RGB[::-1, :, ::-1]), height=-HEIGHT), True
    yield "bmp 32", bmp(32, 0, rows(bgrx)), True
    yield (
        "bmp 32 masks",
        bmp(32, 3, rows(bgrx), masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)),
        True,
    )
    os2 = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24) + rows(RGB[..., ::-1])
    yield "bmp of os/2", b"BM" + struct.pack("<IHHI", 14 + len(os2), 0, 0, 26) + os2, False

    photo = encoded(picture(), "JPEG", quality=95)
    yield "jpeg with a film behind it", photo + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20, True
    yield "jpeg with a scan behind it", photo + b"\xff\xda" + bytes(range(256)) * 20, True
    yield "jpeg restart", encoded(picture(), "JPEG", restart_marker_rows=1), True
    yield "jpeg cmyk progressive", encoded(picture("CMYK"), "JPEG", progressive=True), True
    yield "jpeg rgb", encoded(picture(), "JPEG", keep_rgb=True), True
    yield "mpo", encoded(picture(), "MPO", save_all=True, append_images=[picture()]), True

    sixteen = RGB.astype(">u2") * 257 - np.minimum(RGB, 1) * 13
    alpha = np.full_like(sixteen[..., :1], 30_000)
    for name, colour, levels in (
        ("l", 0, sixteen[..., :1]), ("rgb", 2, sixteen), ("la", 4, np.dstack([sixteen[..., :1], alpha])),
        ("rgba", 6, np.dstack([sixteen, alpha])),
    ):  # fmt: skip
        yield (
            f"png {name} 16",
            png(colour, 16, [row.astype(">u2").tobytes() for row in levels]),
            True,
        )
    for bits in (1, 2, 4):
        packed = np.unpackbits((GREY >> (8 - bits))[..., None], axis=-1)[..., -bits:].reshape(
            HEIGHT, -1
        )
        yield f"png l {bits}", png(0, bits, [np.packbits(row).tobytes() for row in packed]), True
        yield f"png p {bits}", encoded(picture().quantize(2**bits), "PNG", bits=bits), True
    yield "png interlaced", png(2, 8, adam7(RGB), interlaced=1), True
    yield "png one transparent colour", encoded(picture(), "PNG", transparency=(0, 0, 255)), True
    yield (
        "png transparent palette",
        encoded(picture().quantize(16), "PNG", transparency=bytes(16)),
        True,
    )
    yield "png moving", encoded(picture(), "PNG", save_all=True, append_images=[picture("L")]), True

    gif = encoded(picture().quantize(16), "GIF")
    yield "gif", gif, True
    yield "gif transparent", encoded(picture().quantize(16), "GIF", transparency=3), True
    yield (
        "gif with a comment",
        encoded(picture().quantize(16), "GIF", comment=b"x" * 700, transparency=3),
        True,
    )
    moving = {"save_all": True, "append_images": [picture().transpose(0).quantize(32)]}
    yield "gif moving", encoded(picture().quantize(32), "GIF", disposal=2, **moving), True
    yield "gif smaller than its canvas", with_canvas(gif, 50, 40), False
    yield "gif larger than its canvas", with_canvas(gif, 20, 10), True

    both = {"save_all": True, "append_images": [picture().transpose(0)]}
    clear = picture()
    clear.putalpha(picture("L"))
    yield "webp", encoded(picture(), "WEBP", quality=80), True
    yield "webp lossless", encoded(picture(), "WEBP", lossless=True), True
    yield "webp alpha", encoded(clear, "WEBP", quality=80), True
    yield "webp moving", encoded(picture(), "WEBP", quality=80, **both), False
    yield "webp moving with alpha", encoded(clear, "WEBP", lossless=True, **both), False

    for how in (None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        yield f"tiff {how}", encoded(picture(), "TIFF", compression=how), False
    yield "tiff 16", encoded(Image.fromarray(GREY.astype("u2") * 257), "TIFF"), False
    yield "tiff float", encoded(picture("F"), "TIFF"), False
    yield "tiff cmyk", encoded(picture("CMYK"), "TIFF"), False
    yield "tiff fax", encoded(picture("1"), "TIFF", compression="group4"), False
    yield "tiff pages", encoded(picture(), "TIFF", **both), False
    yield "ico", encoded(picture(), "ICO", sizes=[(16, 16)]), False
    yield "avif", encoded(picture(), "AVIF", quality=90), False
    yield "jpeg 2000", encoded(picture(), "JPEG2000"), False
    yield "ppm", encoded(picture(), "PPM"), False


FILES = list(files())


@pytest.mark.parametrize(("name", "data", "by_itself"), FILES, ids=[name for name, _, _ in FILES])
def test_every_file_is_pillows_picture_or_refused(name, data, by_itself):
    expected = truth(data)
    np.testing.assert_array_equal(in_a_graph(decodable(data)), expected)
    np.testing.assert_array_equal(in_a_graph(decodable(data, "PNG")), expected)
    if by_itself:
        np.testing.assert_array_equal(in_a_graph(data), expected)
    else:  # what is not taken is never read otherwise
        with pytest.raises(tf.errors.InvalidArgumentError):
            in_a_graph(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_every_format_is_put_upright(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), form, exif=exif)
    np.testing.assert_array_equal(in_a_graph(decodable(data)), truth(data))


def test_a_webp_whose_exif_begins_as_that_of_a_jpeg():
    exif = exif_block.tiff(6, "big")
    data = encoded(picture(), "WEBP", lossless=True, exif=b"Exif\0\0" + exif)
    np.testing.assert_array_equal(in_a_graph(data), truth(data))


def test_heic_is_read_where_its_package_is_and_named_where_it_is_not(monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(picture(size=(64, 48))).save(buffer, quality=-1)
    data = buffer.getvalue()
    found = in_a_graph(decodable(data)).numpy().astype(int)
    assert np.abs(found - np.asarray(picture(size=(64, 48)))).mean() < 4
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(NotDecodable, match=r"is HEIC; install: pip install 'tlkit\[heif\]'"):
        decodable(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"<html>404", "is text, not a picture"),
        (b"\xff\x0a" + bytes(40), "is JPEG XL, which tlkit does not decode"),
        (b"8BPS" + bytes(40), "is PSD"),
        (b"%PDF-1.4 ", "is PDF"),
        (bytes(50), "is not a picture"),
        (b"GIF89a", "the header of this GIF is damaged"),
        (encoded(picture(), "TIFF")[:200], "does not decode"),
        (
            encoded(Image.fromarray(GREY.astype("f4") / 255), "TIFF"),
            "levels from 0.11\\d* to 0.88\\d* in 32 bits",
        ),
        (
            encoded(Image.fromarray(GREY.astype("i4") * 999), "TIFF"),
            "levels from 28971 to 225774 in 32 bits",
        ),
    ],
)
def test_what_is_not_read_is_named(data, words):
    with pytest.raises(NotDecodable, match=words):
        decodable(data)


@pytest.mark.parametrize("form", ["PNG", "GIF", "JPEG", "TIFF"])
def test_a_file_that_would_fill_the_memory_is_refused_by_its_header(form):
    data = encoded(Image.new("1" if form in ("PNG", "TIFF") else "L", (16_000, 12_000)), form)
    assert len(data) < 25e6
    if form in ("GIF", "TIFF"):
        with pytest.raises(TooManyPixels, match="more than 178,956,970 pixels"):
            decodable(data)
    if form != "TIFF":
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            in_a_graph(data)
        assert why_not_decoded(error.value) == "has more than 178,956,970 pixels"
