"""The decoder against Pillow."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import exif_block as exif
from tlkit.data import decode as decoding


def picture(mode: str = "RGB", size=(37, 23), seed: int = 0) -> Image.Image:
    """A smooth picture, so that lossy formats stay near it."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    rgb = np.stack([255 * x, 255 * y, 255 * (1 - x * y)], -1).astype("uint8")
    return Image.fromarray(rgb).convert(mode)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return decoding.decode(data).numpy()


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"quality": 60, "subsampling": 0}),
        ("JPEG", "RGB", {"quality": 80, "progressive": True}),
        ("JPEG", "L", {}),
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "LA", {}),
        ("BMP", "RGB", {}),
        ("GIF", "P", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"quality": 80}),
    ],
)
def test_every_format_agrees_with_pillow(form, mode, options):
    data = encoded(picture(mode), form, **options)
    ours, theirs = decoded(data), by_pillow(data)
    assert ours.shape == theirs.shape == (23, 37, 3)
    assert ours.dtype == np.uint8
    # lossy formats may round a step differently where chroma is enlarged
    assert np.abs(ours.astype(int) - theirs).max() <= (2 if form in ("JPEG", "WEBP") else 0)


def test_cmyk_jpeg_agrees_with_pillow():
    data = encoded(picture("CMYK"), "JPEG", quality=95)
    assert np.abs(decoded(data).astype(int) - by_pillow(data)).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_high_byte(channels):
    import tensorflow as tf

    values = np.arange(8 * 8 * channels, dtype=np.uint16).reshape(8, 8, channels) * 300
    data = tf.io.encode_png(values).numpy()
    expected = np.broadcast_to((values >> 8).astype(np.uint8), (8, 8, 3))
    np.testing.assert_array_equal(decoded(data), expected)


def test_of_a_gif_the_first_frame_is_taken():
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decoded(data)[0, 0], (255, 0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["little", "big"])
def test_exif_orientation_is_applied_as_pillow_does(orientation, order):
    data = exif.insert(encoded(picture(), "JPEG", quality=95), orientation, order)
    ours, theirs = decoded(data), by_pillow(data)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_an_orientation_that_is_none_is_ignored():
    data = exif.insert(encoded(picture(), "JPEG"), 77, "little")
    assert decoded(data).shape == (23, 37, 3)


@pytest.mark.parametrize("cut", [1, 9, 12, 20, 24])
def test_a_cut_exif_block_does_not_stop_the_decoder(cut):
    plain = encoded(picture(), "JPEG")
    block = b"Exif\0\0" + exif.tiff(6, "big")
    block = block[: 6 + cut]
    data = plain[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + plain[2:]
    assert decoded(data).shape in ((23, 37, 3), (37, 23, 3))


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\xff\xd8\xff\xe0broken", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "],
)
def test_what_is_no_picture_raises(data):
    import tensorflow as tf

    with pytest.raises(tf.errors.OpError):
        decoding.decode(data)


@pytest.mark.parametrize(
    ("how", "size"),
    [
        ("squash", (16, 24)),
        ("crop", (16, 24)),
        ("pad", (16, 24)),
        ("crop", (50, 20)),
        ("pad", (9, 50)),
    ],
)
def test_resize_gives_the_size_and_whole_numbers(how, size):
    image = np.asarray(picture())
    result = decoding.resize(image, size, how).numpy()
    assert result.shape == (*size, 3)
    assert result.dtype == np.uint8


def test_squash_is_bilinear_with_half_pixel_centres():
    image = np.array([[[0, 0, 0], [100, 100, 100]]], np.uint8)
    result = decoding.resize(image, (1, 4), "squash").numpy()[0, :, 0]
    np.testing.assert_array_equal(result, [0, 25, 75, 100])


def test_crop_takes_the_centre_and_keeps_the_aspect_ratio():
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    result = decoding.resize(image, (10, 10), "crop").numpy()
    np.testing.assert_array_equal(result, np.full((10, 10, 3), 200))


def test_pad_adds_black_and_loses_nothing():
    image = np.full((10, 20, 3), 90, np.uint8)
    result = decoding.resize(image, (20, 20), "pad").numpy()
    np.testing.assert_array_equal(result[5:15], np.full((10, 20, 3), 90))
    assert result[:5].max() == result[15:].max() == 0


def test_a_picture_of_the_wanted_size_is_not_changed():
    image = np.asarray(picture(size=(24, 24)))
    for how in ("crop", "squash", "pad"):
        np.testing.assert_array_equal(decoding.resize(image, (24, 24), how).numpy(), image)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(2, 400), (400, 2), (3, 401), (1, 100), (4, 900)])
def test_a_strip_that_is_cut_first_gives_what_cutting_last_gives(monkeypatch, size, antialias):
    image = np.asarray(picture(size=size))
    whole = decoding.resize(image, (32, 32), "crop", antialias).numpy().astype(int)
    monkeypatch.setattr(decoding, "MOST_SCALED", 0)
    assert np.abs(whole - decoding.resize(image, (32, 32), "crop", antialias).numpy()).max() <= 1


def test_a_strip_does_not_take_the_memory(monkeypatch):
    """Scaled whole, 2 x 80000 pixels would be 224 x 8960000: 24 GB."""
    strip = np.repeat(np.arange(2, dtype=np.uint8)[:, None, None] * 200, 80_000, 1).repeat(3, 2)
    found = decoding.resize(strip, (224, 224), "crop").numpy()
    assert (found[0].max(), found[-1].min()) == (0, 200)
