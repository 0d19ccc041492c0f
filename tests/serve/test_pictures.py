"""Whatever file is sent: the answer of the evaluation, or a refusal with a reason."""

import io
import struct
import zlib

import numpy as np
import pytest

from tests import exif_block as exif
from tests.conftest import draw
from tlkit.runs.predict import predict_files


def saved(image, form, **arguments):
    buffer = io.BytesIO()
    image.save(buffer, form, **arguments)
    return buffer.getvalue()


def deep_png(image):
    """16 bits a channel, which Pillow does not write."""
    rows = np.asarray(image).astype(">u2") * 257
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(*image.size, zlib.compress(raw), depth=16)


def png(width, height, packed, depth=8):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, depth, 2 if depth > 1 else 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def bomb():
    """Nine hundred million black pixels in a few hundred kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    packed = b"".join(packer.compress(row) for _ in range(30_000)) + packer.flush()
    return png(30_000, 30_000, packed, depth=1)


PICTURE = draw(1, 3, 60).crop((0, 0, 60, 44))
ODD = {
    "upright.jpg": saved(PICTURE, "jpeg"),
    **{f"turned{k}.jpg": exif.insert(saved(PICTURE, "jpeg"), k, "big") for k in (3, 6, 8)},
    "cmyk.jpg": saved(PICTURE.convert("CMYK"), "jpeg"),
    "grey.jpg": saved(PICTURE.convert("L"), "jpeg"),
    "progressive.jpg": saved(PICTURE, "jpeg", progressive=True),
    "deep.png": deep_png(PICTURE),
    "alpha.png": saved(PICTURE.convert("RGBA"), "png"),
    "palette.png": saved(PICTURE.convert("P"), "png"),
    "moving.gif": saved(PICTURE, "gif", save_all=True, append_images=[draw(0, 1, 60)]),
    "still.webp": saved(PICTURE, "webp"),
    "moving.webp": saved(PICTURE, "webp", save_all=True, append_images=[PICTURE.transpose(0)]),
    "pages.jpg": saved(PICTURE, "tiff", save_all=True, append_images=[PICTURE.transpose(0)]),
    "phone.jpg": saved(PICTURE, "avif"),
    "palette.bmp": saved(PICTURE.convert("P"), "bmp"),
    "clear.gif": saved(PICTURE.quantize(16), "gif", transparency=3),
    "small.bmp": saved(PICTURE.resize((3, 2)), "bmp"),
}


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, data in ODD.items():
        (folder / name).write_bytes(data)
    rows = predict_files(tiny_run.folder, [folder], top=3, engine="keras")
    return {row["image"].rsplit("/", 1)[-1]: dict(row["top"]) for row in rows}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_get_the_answer_of_the_evaluation(client, evaluated, name):
    answer = client.post("/predict", files={"file": (name, ODD[name])})
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["predictions"]
    assert found["file"] == name
    assert {one["label"]: one["probability"] for one in found["top"]} == pytest.approx(
        evaluated[name], abs=2e-5
    )


BAD = {
    "empty": (b"", 400, "empty"),
    "text": (b"hello", 400, "not a picture"),
    "cut.png": (ODD["alpha.png"][:-200], 400, "does not decode"),
    "head.jpg": (ODD["upright.jpg"][:200], 400, "does not decode|not a picture"),
    "jpeg xl": (b"\xff\x0a" + bytes(90), 400, "is JPEG XL, which tlkit does not decode"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "is SVG"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_with_a_reason(client, name, picture):
    import re

    data, status, reason = BAD[name]
    answer = client.post("/predict", content=data, headers={"content-type": "image/jpeg"})
    assert answer.status_code == status
    assert re.search(reason, answer.json()["error"]), answer.text
    assert "\n" not in answer.json()["error"]
    assert client.post("/predict", content=picture).status_code == 200


def test_a_decompression_bomb_is_not_decoded(client, serving, picture):
    packed = bomb()
    assert len(packed) < 1_000_000
    answer = client.post("/predict", content=packed)
    assert answer.status_code == 413
    assert "too large" in answer.json()["error"]
    assert client.post("/predict", content=picture).json()["predictions"][0]["label"] == "green"
    few = serving(pixels=1000)
    answer = few.post("/predict", content=picture)
    assert (answer.status_code, answer.json()["error"]) == (
        413, "the picture has 1,600 pixels, at most 1,000 are taken",
    )  # fmt: skip


def test_one_broken_file_does_not_spoil_the_batch_of_others(client, picture):
    both = [("file", ("a.png", picture)), ("file", ("b.png", b"broken"))]
    assert client.post("/predict", files=both).status_code == 400
    both[1] = ("file", ("b.png", picture))
    answer = client.post("/predict", files=both).json()["predictions"]
    assert [one["label"] for one in answer] == ["green", "green"]
