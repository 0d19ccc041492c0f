"""Uploaded pictures: looked at before they are decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.decode import why_not_decoded
from tlkit.serve.limits import Refused


def read_picture(data: bytes, prepare: Callable[[bytes], Any], most_pixels: int) -> np.ndarray:
    """The pixels of a file as the network takes them.

    Args:
        data: The file.
        prepare: The export's decoder.
        most_pixels: Width times height that is decoded at most: a file of a few kilobytes can
            stand for gigabytes.

    Raises:
        Refused: 400 if it is no picture or broken, 413 if it is too large.
    """
    import tensorflow as tf

    if not data:
        raise Refused(400, "the picture is empty")
    pixels = _pixels(data)
    if pixels > most_pixels:
        raise Refused(413, f"the picture has {pixels:,} pixels, at most {most_pixels:,} are taken")
    try:
        return np.asarray(prepare(data))
    except tf.errors.OpError as error:
        raise Refused(400, f"the file {why_not_decoded(error, data)}") from None


def _pixels(data: bytes) -> int:
    """Width times height by the file's header; of WebP all frames, as they are decoded at once."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, which are what is looked for
            image = Image.open(io.BytesIO(data))
    # plugins of Pillow raise whatever a broken header makes them
    except Exception as error:
        if isinstance(error, Image.DecompressionBombError):
            raise Refused(413, f"the picture is too large: {error}") from None
        raise Refused(400, "not a picture: expected JPEG, PNG, GIF, BMP or WebP") from None
    frames = getattr(image, "n_frames", 1) if image.format == "WEBP" else 1
    return int(image.width * image.height * frames)
