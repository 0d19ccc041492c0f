"""Uploaded images, checked before they are decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tlkit.data.decode import why_not_decoded
from tlkit.data.transcode import NotDecodable, TooManyPixels, decodable, open_picture
from tlkit.out_of_memory import is_out_of_memory
from tlkit.serve.limits import Refusal


def read_picture(data: bytes, prepare: Callable[[bytes], Any], most_pixels: int) -> np.ndarray:
    """Decodes a file to pixels, as the network takes them.

    Args:
        data: Contents of the file.
        prepare: The export's decoder.
        most_pixels: Maximum width times height to decode, as a file of a few kilobytes can
            expand to gigabytes.

    Raises:
        Refusal: 400 if it is not an image or is damaged, 413 if it is too large.
    """
    if not data:
        raise Refusal(400, "the picture is empty")
    try:
        with open_picture(data) as image:
            pixels = image.width * image.height
        if pixels > most_pixels:
            raise Refusal(
                413, f"the picture has {pixels:,} pixels, at most {most_pixels:,} are taken"
            )
        return np.asarray(prepare(decodable(data)))
    except TooManyPixels as error:
        raise Refusal(413, f"the picture {error}") from None
    except NotDecodable as error:
        raise Refusal(400, f"the file {error}") from None
    except tf.errors.OpError as error:
        if is_out_of_memory(error):
            raise
        raise Refusal(400, f"the file {why_not_decoded(error)}") from None
