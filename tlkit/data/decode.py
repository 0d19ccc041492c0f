"""The only decoder, in training, evaluation and serving: encoded bytes to upright RGB.

Everything here is a TensorFlow graph, so that the exported model contains the
same code that prepared the training images.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

from tlkit.tensors import Decoder, Tensor

TAKES = "JPEG, PNG, still WebP, BMP with 8, 24 or 32 bits, or GIF, its first frame"
Resize = Literal["crop", "squash", "pad"]

# part of the key of cached features: increment it with any change in decoded pixels
DECODER_VERSION = 2
EXIF_MARK = b"Exif\0\0"
WINDOW = 1 << 16  # bytes of a file that are searched for markers
# largest scaled picture, in pixels and in multiples of the target; larger ones are cropped first
MOST_SCALED, MOST_TIMES = 1 << 22, 16
MOST_PIXELS = 178_956_970  # largest picture; Pillow too treats more pixels as an attack
ORIENTATION = 0x0112  # the EXIF tag that says which way up a picture is


def decode(contents: Any) -> Tensor:
    """Decodes JPEG, PNG, still WebP, BMP with 8, 24 or 32 bits, or the first frame of a GIF.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB, an alpha channel is dropped, and the
    EXIF orientation is applied. Files that TensorFlow's kernels read differently from other
    software are rejected; `tlkit.data.transcode.decodable` converts them, and other formats, to
    what is accepted here.

    Args:
        contents: Scalar string tensor, the bytes of one file.

    Returns:
        uint8 tensor `(height, width, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are not such a picture, or have more than
            `MOST_PIXELS` pixels.
    """
    import tensorflow as tf

    contents = tf.convert_to_tensor(contents)

    def starts(mark: bytes, at: int = 0) -> Tensor:
        return tf.strings.substr(contents, at, len(mark)) == mark

    # a file that is shorter than its header fails in its decoder
    head = _head(contents)
    image = tf.case(
        [
            (starts(b"\xff\xd8\xff"), lambda: _jpeg(contents)),
            (starts(b"\x89PNG"), lambda: _png(contents, head)),
            (starts(b"RIFF") & starts(b"WEBP", 8), lambda: _webp(contents, head)),
            (starts(b"BM"), lambda: _bmp(contents, head)),
            (starts(b"GIF8"), lambda: _gif(contents, head)),
        ],
        default=lambda: _refused(contents),
    )
    image.set_shape((None, None, 3))
    return image


def _jpeg(contents: Any) -> Tensor:
    import tensorflow as tf

    shape = tf.io.extract_jpeg_shape(contents)
    with tf.control_dependencies([_not_too_large(shape[1], shape[0])]):
        # the accurate transform is bit-identical to other decoders
        image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
    return upright(image, exif_orientation(contents))


def _png(contents: Any, head: Tensor) -> Tensor:
    import tensorflow as tf

    with tf.control_dependencies([_not_too_large(_big(head[16:20]), _big(head[20:24]))]):
        image = tf.io.decode_png(contents, channels=3)
    # the chunk is before or after the pixels
    window = tf.strings.join([
        tf.strings.substr(contents, 0, WINDOW),
        tf.strings.substr(contents, tf.maximum(tf.strings.length(contents) - WINDOW, 0), WINDOW),
    ])  # fmt: skip
    return upright(image, _orientation(window, (b"eXIfII", b"eXIfMM"), 4))


def _webp(contents: Any, head: Tensor) -> Tensor:
    import tensorflow as tf

    extended, lossless = (tf.strings.substr(contents, 12, 4) == kind for kind in (b"VP8X", b"VP8L"))
    flags = tf.where(extended, head[20], 0)
    # RFC 9649, sections 2.7 and 3; RFC 6386, section 9.1
    packed = _little(head[21:25])
    width, height = tf.case(
        [
            (extended, lambda: (1 + _little(head[24:27]), 1 + _little(head[27:30]))),
            (lossless, lambda: (1 + packed % 2**14, 1 + packed // 2**14 % 2**14)),
        ],
        default=lambda: (_little(head[26:28]) % 2**14, _little(head[28:30]) % 2**14),
    )
    # TensorFlow decodes all frames at once, and out of bounds if they have no alpha
    moves = tf.bitwise.bitwise_and(flags, 2) > 0
    checks = [
        tf.debugging.Assert(~moves, ["a moving WebP is not decoded here; send its first frame"]),
        _not_too_large(width, height),
    ]
    with tf.control_dependencies(checks):
        image = tf.io.decode_webp(contents, channels=0)[0, ..., :3]
    marks = (b"EXIFII", b"EXIFMM", b"EXIFEx")
    orientation = tf.cond(
        tf.bitwise.bitwise_and(flags, 8) > 0,
        lambda: _orientation(contents, marks, 8, 4),
        lambda: tf.constant(1),
    )
    return upright(image, orientation)


def _bmp(contents: Any, head: Tensor) -> Tensor:
    import tensorflow as tf

    size, bits, packing = _little(head[14:18]), _little(head[28:30]), _little(head[30:34])
    width, height = _little(head[18:22]), tf.abs(_little(head[22:26]))
    usual = tf.reduce_all(head[54:66] == [0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0])
    known = ((packing == 0) & ((bits == 8) | (bits == 24) | (bits == 32))) | (
        (packing == 3) & (bits == 32) & usual
    )
    words = "a BMP with 1, 4 or 16 bits, packed, or with unusual masks is not decoded here"
    checks = [tf.debugging.Assert(known & (size >= 40), [words]), _not_too_large(width, height)]
    with tf.control_dependencies(checks):
        image = tf.io.decode_bmp(contents, channels=0)

    def coloured() -> Tensor:
        palette = tf.io.decode_raw(
            tf.strings.substr(contents, 14 + size, _little(head[10:14]) - 14 - size), tf.uint8
        )
        palette = tf.reshape(palette[: 4 * (tf.size(palette) // 4)], (-1, 4))[:256, 2::-1]
        palette = tf.pad(palette, [[0, 256 - tf.shape(palette)[0]], [0, 0]])
        return tf.gather(palette, tf.cast(image[..., 0], tf.int32))

    return tf.cond(bits == 8, coloured, lambda: image[..., :3])


def _gif(contents: Any, head: Tensor) -> Tensor:
    import tensorflow as tf

    # transparent pixels in the first frame get the colour of their palette entry
    opaque, left, top, width, height = _first_frame(contents, head)
    full = (
        (left == 0) & (top == 0) & (width >= _little(head[6:8])) & (height >= _little(head[8:10]))
    )
    checks = [
        tf.debugging.Assert(full, ["a GIF whose first frame does not fill it is not decoded here"]),
        _not_too_large(width, height),
    ]
    with tf.control_dependencies(checks):
        return tf.io.decode_image(opaque, channels=3, expand_animations=False)


def _first_frame(contents: Any, head: Tensor) -> tuple[Any, Any, Any, Any, Any]:
    """The GIF with its first frame made opaque; left, top, width and height of that frame.

    (Graphics Interchange Format, version 89a, sections 18 to 23.)
    """
    import tensorflow as tf

    data = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, WINDOW), tf.uint8), tf.int32)
    data = tf.pad(data, [[0, 16]])
    end = tf.shape(data)[0] - 16
    flags = head[10]
    colours = tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(place: Any, inside: Any, control: Any) -> Tensor:
        """Steps over a sub-block of an extension, or into the next extension."""
        size = data[place]
        at_control = ~inside & (data[place + 1] == 0xF9)
        following = tf.where(inside, place + 1 + size, place + 2)
        return (
            tf.minimum(following, end),
            ~inside | (size > 0),
            tf.where(at_control, place, control),
        )

    place, _, control = tf.while_loop(
        lambda place, inside, _: (place < end) & (inside | (data[place] == 0x21)),
        step,
        (13 + colours, tf.constant(False), tf.constant(-1)),
    )

    def without() -> Tensor:
        return tf.strings.join([
            tf.strings.substr(contents, 0, control + 3),
            tf.gather([bytes((value,)) for value in range(256)], data[control + 3] // 2 * 2),
            tf.strings.substr(contents, control + 4, -1),
        ])  # fmt: skip

    opaque = tf.cond(control >= 0, without, lambda: contents)
    place = tf.minimum(place, end)
    return opaque, *(_little(data[place + k : place + k + 2]) for k in (1, 3, 5, 7))


def _refused(contents: Any) -> Tensor:
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.Assert(False, [f"expected {TAKES}"])]):
        return tf.zeros((0, 0, 3), tf.uint8)


def _head(contents: Any) -> Tensor:
    """The first 66 bytes of a file as int32, padded with zeros if it is shorter."""
    import tensorflow as tf

    head = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, 66), tf.uint8), tf.int32)
    return tf.pad(head, [[0, 66 - tf.shape(head)[0]]])


def _little(some: Any) -> Tensor:
    """A little-endian integer; negative if its highest bit is set."""
    import tensorflow as tf

    return tf.reduce_sum(tf.bitwise.left_shift(some, 8 * tf.range(tf.size(some))))


def _big(some: Any) -> Tensor:
    return _little(some[::-1])


def _not_too_large(width: Any, height: Any) -> Tensor:
    """Stops before the pixels of a small file exhaust the memory."""
    import tensorflow as tf

    pixels = tf.cast(width, tf.int64) * tf.cast(height, tf.int64)
    fits = (width >= 0) & (height >= 0) & (pixels <= MOST_PIXELS)
    return tf.debugging.Assert(fits, [f"has more than {MOST_PIXELS:,} pixels"])


def exif_orientation(contents: Any) -> Tensor:
    """The EXIF orientation (1 to 8) of a JPEG's bytes; 1 if it has none."""
    import tensorflow as tf

    # EXIF is in the first segments; a window keeps the search cheap
    return _orientation(tf.strings.substr(contents, 0, WINDOW), (EXIF_MARK,), len(EXIF_MARK))


def _orientation(contents: Any, marks: tuple[bytes, ...], skipped: int, gap: int = 0) -> Tensor:
    """The orientation in the EXIF block after the first of some markers; 1 if there is none.

    Args:
        contents: Scalar string tensor.
        marks: Markers of equal length.
        skipped: Bytes from the start of a marker to the start of the block.
        gap: Bytes of any value in a marker, after its first four.
    """
    import tensorflow as tf

    window = tf.io.decode_raw(contents, tf.uint8)
    places = tf.maximum(tf.shape(window)[0] - len(marks[0]) - gap + 1, 0)

    def lies(mark: bytes) -> Tensor:
        found = tf.ones((places,), tf.bool)
        for index, byte in enumerate(mark):
            at = index if index < 4 else index + gap
            found = tf.logical_and(found, window[at : at + places] == byte)
        return found

    found = functools.reduce(tf.logical_or, [lies(mark) for mark in marks])

    def search() -> Tensor:
        tiff = tf.cast(window[tf.argmax(found, output_type=tf.int32) + skipped :], tf.int32)
        # some programs write the JPEG marker in other formats too
        if gap:
            again = tiff[0] == EXIF_MARK[0]
            tiff = tf.cond(again, lambda: tiff[len(EXIF_MARK) :], lambda: tiff)
        size = tf.shape(tiff)[0]
        little = tf.reduce_any(tiff[:1] == ord("I"))

        def at(position: Any, count: int) -> Tensor:
            """An unsigned integer of `count` bytes in the file's byte order; 0 beyond the end."""
            position = tf.clip_by_value(position, 0, size)
            piece = tiff[position : position + count]
            piece = tf.pad(piece, [[0, count - tf.shape(piece)[0]]])
            weights = tf.constant([1 << (8 * i) for i in range(count)])
            return tf.reduce_sum(tf.where(little, piece, piece[::-1]) * weights)

        directory = at(4, 4)
        entries = tf.minimum(at(directory, 2), 512)

        def entry(index: Tensor, value: Any) -> Tensor:
            place = directory + 2 + 12 * index
            return index + 1, tf.where(at(place, 2) == ORIENTATION, at(place + 8, 2), value)

        _, value = tf.while_loop(
            lambda index, _: index < entries, entry, (tf.constant(0), tf.constant(1))
        )
        return tf.where(tf.logical_and(value >= 1, value <= 8), value, 1)

    return tf.cond(tf.reduce_any(found), search, lambda: tf.constant(1))


def upright(image: Tensor, orientation: Any) -> Tensor:
    """Undoes one of the eight EXIF orientations (CIPA DC-008, table 3.7)."""
    import tensorflow as tf

    turns = {
        1: lambda: image,
        2: lambda: image[:, ::-1],
        3: lambda: image[::-1, ::-1],
        4: lambda: image[::-1],
        5: lambda: tf.transpose(image, (1, 0, 2)),
        6: lambda: tf.transpose(image, (1, 0, 2))[:, ::-1],
        7: lambda: tf.transpose(image, (1, 0, 2))[::-1, ::-1],
        8: lambda: tf.transpose(image, (1, 0, 2))[::-1],
    }
    return tf.switch_case(orientation - 1, [turns[i] for i in range(1, 9)])


def resize(
    image: Tensor, size: tuple[int, int], how: Resize = "crop", antialias: bool = False
) -> Tensor:
    """Resizes one image to a fixed size, bilinearly, rounded back to uint8.

    Args:
        image: `(height, width, 3)`, uint8 or float in [0, 255].
        size: Target height and width, in pixels.
        how: `crop` scales until the image covers the size and crops the centre;
            `squash` ignores the aspect ratio; `pad` scales until it fits and
            adds black borders.
        antialias: Whether to low-pass filter before shrinking.

    Returns:
        uint8 tensor `(size[0], size[1], 3)`.
    """
    import tensorflow as tf

    height, width = size
    wanted = tf.constant([height, width])
    if how == "squash":
        scaled = wanted
    else:
        real = tf.cast(tf.shape(image)[:2], tf.float32)
        ratios = tf.cast(wanted, tf.float32) / tf.maximum(real, 1.0)
        ratio = tf.reduce_max(ratios) if how == "crop" else tf.reduce_min(ratios)
        scaled = tf.cast(tf.round(real * ratio), tf.int32)
        bound = tf.maximum if how == "crop" else tf.minimum
        scaled = tf.maximum(bound(scaled, wanted), 1)
        if how == "crop":
            image, scaled = _narrowed(image, scaled, wanted, ratio)
    image = tf.image.resize(image, scaled, antialias=antialias)
    if how == "crop":
        top, left = (scaled[0] - height) // 2, (scaled[1] - width) // 2
        image = image[top : top + height, left : left + width]
    elif how == "pad":
        top, left = (height - scaled[0]) // 2, (width - scaled[1]) // 2
        image = tf.pad(
            image,
            [[top, height - scaled[0] - top], [left, width - scaled[1] - left], [0, 0]],
        )
    image = tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
    image.set_shape((height, width, 3))
    return image


def _narrowed(image: Tensor, scaled: Any, wanted: Any, ratio: Any) -> tuple[Any, Any]:
    """Crops a long strip to its middle and returns it with its scaled size; others are unchanged.

    Otherwise, a picture of 2 x 8000 pixels would be scaled to 224 x 896000 to crop a square.
    """
    import tensorflow as tf

    def middle() -> tuple[Any, Any]:
        real = tf.shape(image)[:2]
        beyond = 2 * (tf.cast(tf.math.ceil(1 / ratio), tf.int32) + 1)  # used by interpolation
        needed = tf.cast(tf.math.ceil(tf.cast(wanted, tf.float32) / ratio), tf.int32) + beyond
        piece = tf.minimum(needed + (real - needed) % 2, real)  # keeps the centre
        top, left = tf.unstack((real - piece) // 2)
        size = tf.cast(tf.round(tf.cast(piece, tf.float32) * ratio), tf.int32)
        cut = image[top : top + piece[0], left : left + piece[1]]
        return cut, tf.maximum(size, wanted)

    pixels, least = (tf.reduce_prod(tf.cast(size, tf.int64)) for size in (scaled, wanted))
    too_many = pixels > tf.maximum(MOST_TIMES * least, MOST_SCALED)
    found: tuple[Tensor, Tensor] = tf.cond(too_many, middle, lambda: (image, scaled))
    return found


@functools.lru_cache(maxsize=32)
def make_preparer(size: tuple[int, int], how: Resize, antialias: bool) -> Decoder:
    """A compiled function from a file's bytes to a uint8 image of `size`, traced once a process."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    def prepare(contents: Any) -> Tensor:
        return resize(decode(contents), size, how, antialias)

    preparer: Decoder = prepare
    return preparer


def why_not_decoded(error: Any) -> str:
    """A readable reason for a TensorFlow error about a file, to follow the file's name.

    Args:
        error: A `tf.errors.OpError`.
    """
    # the decoder's own message comes before the name of its node
    words = str(error.message).split("[[{{node")[0].strip().split("\n")[-1].split("{{")[0].strip()
    said = words.removeprefix("assertion failed: [").removesuffix("]")
    return said if said.startswith("has ") else f"does not decode: {said[:120]}"
