"""The one decoder: encoded bytes to upright RGB, in training, evaluation and serving.

Everything here is a TensorFlow graph, so that the exported model carries the
very code that prepared the training images.
"""

from __future__ import annotations

from typing import Any, Literal

Resize = Literal["crop", "squash", "pad"]

# part of the key of cached features: to be raised with any change of what a file decodes to
DECODER_VERSION = 1
EXIF_MARK = b"Exif\0\0"
ORIENTATION = 0x0112  # the EXIF tag that says which way up a picture is


def decode(contents: Any) -> Any:
    """Decodes JPEG, PNG, GIF (its first frame), BMP or WebP.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB, an alpha channel
    is dropped, and a JPEG's EXIF orientation is applied.

    Args:
        contents: Scalar string tensor, the bytes of one file.

    Returns:
        uint8 tensor `(height, width, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are no picture, or a moving WebP without alpha.
    """
    import tensorflow as tf

    contents = tf.convert_to_tensor(contents)
    start = tf.strings.substr(contents, 0, 3)
    webp = tf.logical_and(
        tf.strings.substr(contents, 0, 4) == b"RIFF", tf.strings.substr(contents, 8, 4) == b"WEBP"
    )

    def jpeg() -> Any:
        # the accurate transform agrees with other decoders to the last bit
        image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
        return upright(image, exif_orientation(contents))

    def first_webp() -> Any:
        # TensorFlow makes room for 3 channels of a moving WebP without alpha, and writes 4
        reason = "a moving WebP without alpha cannot be decoded; save its first frame"
        with tf.control_dependencies([tf.debugging.Assert(~_overflows(contents), [reason])]):
            return tf.io.decode_webp(contents, channels=0)[0, ..., :3]

    def other() -> Any:
        return tf.io.decode_image(contents, channels=3, expand_animations=False)

    image = tf.cond(start == b"\xff\xd8\xff", jpeg, lambda: tf.cond(webp, first_webp, other))
    image.set_shape((None, None, 3))
    return image


def _overflows(contents: Any) -> Any:
    """Whether the header of a WebP says that it moves and has no alpha (RFC 9649, section 2.7)."""
    import tensorflow as tf

    extended = tf.strings.substr(contents, 12, 4) == b"VP8X"
    flags = tf.io.decode_raw(tf.strings.substr(contents, 12, 9), tf.uint8)[8:]
    moves, alpha = (tf.reduce_any(tf.bitwise.bitwise_and(flags, bit) > 0) for bit in (2, 16))
    return extended & moves & ~alpha


def exif_orientation(contents: Any) -> Any:
    """The EXIF orientation (1 to 8) of a JPEG's bytes; 1 where it names none."""
    import tensorflow as tf

    # EXIF lies in the first segments; a window keeps the search cheap
    window = tf.io.decode_raw(tf.strings.substr(contents, 0, 1 << 16), tf.uint8)
    places = tf.maximum(tf.shape(window)[0] - len(EXIF_MARK) + 1, 0)
    found = tf.ones((places,), tf.bool)
    for index, byte in enumerate(EXIF_MARK):
        found = tf.logical_and(found, window[index : index + places] == byte)

    def search() -> Any:
        offset = tf.argmax(found, output_type=tf.int32) + len(EXIF_MARK)
        tiff = tf.cast(window[offset:], tf.int32)
        size = tf.shape(tiff)[0]
        little = tf.reduce_any(tiff[:1] == ord("I"))

        def at(position: Any, count: int) -> Any:
            """An unsigned number of `count` bytes in the file's byte order; 0 beyond the end."""
            position = tf.clip_by_value(position, 0, size)
            piece = tiff[position : position + count]
            piece = tf.pad(piece, [[0, count - tf.shape(piece)[0]]])
            weights = tf.constant([1 << (8 * i) for i in range(count)])
            return tf.reduce_sum(tf.where(little, piece, piece[::-1]) * weights)

        directory = at(4, 4)
        entries = tf.minimum(at(directory, 2), 512)

        def entry(index: Any, value: Any) -> Any:
            place = directory + 2 + 12 * index
            return index + 1, tf.where(at(place, 2) == ORIENTATION, at(place + 8, 2), value)

        _, value = tf.while_loop(
            lambda index, _: index < entries, entry, (tf.constant(0), tf.constant(1))
        )
        return tf.where(tf.logical_and(value >= 1, value <= 8), value, 1)

    return tf.cond(tf.reduce_any(found), search, lambda: tf.constant(1))


def upright(image: Any, orientation: Any) -> Any:
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


def resize(image: Any, size: tuple[int, int], how: Resize = "crop", antialias: bool = False) -> Any:
    """Brings one image to a fixed size, bilinear, rounded back to uint8.

    Args:
        image: `(height, width, 3)`, uint8 or float in [0, 255].
        size: Height and width wanted, in pixels.
        how: `crop` scales until the image covers the size and cuts the centre
            out; `squash` ignores the aspect ratio; `pad` scales until it fits
            and adds black borders.
        antialias: Low-pass before shrinking.

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


def make_preparer(size: tuple[int, int], how: Resize, antialias: bool) -> Any:
    """A compiled function from the bytes of one file to a uint8 image of `size`."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
    def prepare(contents: Any) -> Any:
        return resize(decode(contents), size, how, antialias)

    return prepare


def why_not_decoded(error: Any, data: bytes) -> str:
    """What TensorFlow raised over a file, in a person's words.

    Args:
        error: A `tf.errors.OpError`.
        data: The file.
    """
    if data[:64].lstrip()[:1] in (b"<", b"{"):
        return "is text, not a picture"
    if not data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF")):
        return "is no picture"
    # the decoder's own words stand before the name of the node that said them
    words = str(error.message).split("[[{{node")[0].strip().split("\n")[-1].split("{{")[0].strip()
    words = words.removeprefix("assertion failed: [").removesuffix("]")
    return f"does not decode: {words[:120]}"
