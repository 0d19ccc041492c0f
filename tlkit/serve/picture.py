"""Uploaded pictures: looked at before they are decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.decode import why_not_decoded
from tlkit.data.transcode import NotDecodable, TooManyPixels, decodable, open_picture
from tlkit.out_of_memory import is_out_of_memory
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
    try:
        with open_picture(data) as image:
            pixels = image.width * image.height
        if pixels > most_pixels:
            raise Refused(
                413, f"the picture has {pixels:,} pixels, at most {most_pixels:,} are taken"
            )
        return np.asarray(prepare(decodable(data)))
    except TooManyPixels as error:
        raise Refused(413, f"the picture {error}") from None
    except NotDecodable as error:
        raise Refused(400, f"the file {error}") from None
    except tf.errors.OpError as error:
        if is_out_of_memory(error):
            raise
        raise Refused(400, f"the file {why_not_decoded(error)}") from None
