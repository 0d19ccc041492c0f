import io

import pytest
from PIL import Image

from tests.conftest import draw
from tlkit.data.file_kind import DECODED, HEAD, PICTURES, file_kind


def encoded(form: str, **options) -> bytes:
    buffer = io.BytesIO()
    draw(0, 0).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO"]
)
def test_a_picture_that_pillow_wrote_is_known_by_its_first_bytes(form):
    data = encoded(form)
    assert Image.open(io.BytesIO(data)).format == form
    assert file_kind(data[:HEAD]) == form
    assert form in PICTURES


@pytest.mark.parametrize("options", [{"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_kinds_of_tiff(options):
    assert file_kind(encoded("TIFF", **options)[:HEAD]) == "TIFF"


def test_a_jpeg_with_several_pictures_is_a_jpeg():
    buffer = io.BytesIO()
    draw(0, 0).save(buffer, "MPO", save_all=True, append_images=[draw(0, 1)])
    assert file_kind(buffer.getvalue()[:HEAD]) == "JPEG"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        # ISO/IEC 23008-12: the brands of phones' pictures
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "HEIF"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "MP4"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", "JPEG XL"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"PK\3\4rest", "ZIP"),
        (b"\x1f\x8b\x08", "GZIP"),
        (b"<html>404</html>", "text"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
        ("\ufeffpath,label".encode(), "text"),
        ("path,label".encode("utf-16"), "text"),
        (("a" * 63 + "é").encode()[:64], "text"),
        (b"BM it begins, but is none", "text"),
        (b"", None),
        (bytes(range(64)), None),
    ],
)
def test_other_files_are_named(head, kind):
    assert file_kind(head) == kind


def test_what_is_decoded_is_a_picture():
    assert DECODED <= PICTURES
