"""Detects the format of a file by its first bytes, as file names may be wrong."""

from __future__ import annotations

HEAD = 64  # bytes that `file_kind` needs

# Pillow's name if it has one
STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "EXR"),
    (b"gimp xcf", "XCF"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "EPS"),
    (b"PK\3\4", "ZIP"),
    (b"PK\5\6", "ZIP"),  # an empty archive
    (b"\x1f\x8b", "GZIP"),
    (b"BZh", "BZIP2"),
    (b"\xfd7zXZ\0", "XZ"),
    (b"\x28\xb5\x2f\xfd", "ZSTD"),
    (b"Rar!\x1a\7", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7Z"),
    (b"SQLite format 3\0", "SQLite"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "NumPy"),
    (b"PAR1", "Parquet"),
    (b"\x1aE\xdf\xa3", "Matroska"),
)
# the major brand of an ISO base media file, at byte 8 (ISO/IEC 14496-12, section 4.3)
BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "CR3",
    b"qt  ": "QuickTime",
}
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # header sizes of all BMP versions
# still pictures, whether or not tlkit decodes them
PICTURES = frozenset({
    "JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC", "HEIF", "JPEG XL", "JPEG2000", "PSD",
    "ICO", "QOI", "EXR", "XCF", "PPM", "CR3", "SVG",
})  # fmt: skip
# formats that `tlkit.data.transcode.decodable` reads
DECODED = frozenset({
    "JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIC", "HEIF", "JPEG2000", "ICO", "PPM", "QOI",
})  # fmt: skip
# extensions of picture files: a file of another kind with one is a broken picture
PICTURE_ENDINGS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp",
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".psd", ".ico",
    ".qoi", ".exr", ".xcf", ".ppm", ".pgm", ".pbm", ".pnm", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".svg",
})  # fmt: skip


def file_kind(head: bytes) -> str | None:
    """Detects the format of a file by its first bytes.

    Args:
        head: At least the first `HEAD` bytes, or all of a shorter file.

    Returns:
        Pillow's name if it has one (a JPEG with several pictures, MPO, is a `JPEG`); `HEIC`,
        `JPEG XL`, `SVG` and other names of formats; `text`; None if it is unknown.
    """
    for start, kind in STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "WEBP", b"AVI ": "AVI", b"WAVE": "WAV"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    return _text(head)


def _brand(head: bytes) -> str:
    """The format of an ISO base media file, by its major and its compatible brands."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(size, len(head)), 4))]
    known = [BRANDS[brand] for brand in brands if brand in BRANDS]
    # mif1 and msf1, HEIF, may be any picture: another brand tells which
    return next((kind for kind in known if kind != "HEIF"), known[0] if known else "MP4")


def _text(head: bytes) -> str | None:
    """`SVG`, `text` or None."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"  # UTF-16
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<svg"):
        return "SVG"
    if not head or b"\0" in head:
        return None
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # otherwise the last character was cut off
            return None
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return None if controls else "text"
