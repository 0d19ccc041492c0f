"""Bodies of requests, made into pictures, and of answers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse

from tlkit.serve.limits import Refused

LARGE = 100_000  # bytes of JSON from which on another thread parses it


class Json(JSONResponse):
    """JSON in ASCII: what a client sent comes back whatever it was."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Refused: 400 if it is something else.
    """
    body = await request.body()
    return parse_json(body) if len(body) < LARGE else await asyncio.to_thread(parse_json, body)


def parse_json(body: bytes) -> dict[str, Any]:
    """A body as a JSON object.

    Raises:
        Refused: 400 if it is something else.
    """
    try:
        value = json.loads(body)
    # too deep, too long a number, no UTF-8
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Refused(400, f"expected a JSON object, found {type(value).__name__}")
    return value


def from_base64(text: Any) -> bytes:
    """The bytes that base64 text stands for.

    Raises:
        Refused: 400 if it does not.
    """
    if not isinstance(text, str):
        raise Refused(400, f"expected base64 text, found {type(text).__name__}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"not base64: {error}") from None


def to_pixels(value: Any, dtype: str = "float32") -> np.ndarray:
    """Nested lists of numbers as one image `(height, width, 3)`.

    Raises:
        Refused: 400 if they are none, or not finite.
    """
    try:
        with np.errstate(all="ignore"):
            image = np.asarray(value, "float64")
    except (ValueError, TypeError, OverflowError):
        raise Refused(400, "an image is not a regular array of numbers") from None
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise Refused(400, f"expected an image [height, width, 3], found {list(image.shape)}")
    if dtype == "uint8":
        if not ((image >= 0) & (image <= 255) & (image == np.floor(image))).all():
            raise Refused(400, "expected whole numbers from 0 to 255")
    elif not (np.abs(image) < 1e30).all():
        raise Refused(400, "an image holds a number that is not finite")
    return image.astype(dtype)
