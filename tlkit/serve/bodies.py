"""Parses request bodies into images, and writes response bodies."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse

from tlkit.serve.limits import Refusal

LARGE = 100_000  # from this number of bytes, JSON is parsed on another thread


class Json(JSONResponse):
    """JSON in ASCII, so that any text a client sent can be returned."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        Refusal: 400 if it is not one.
    """
    body = await request.body()
    return parse_json(body) if len(body) < LARGE else await asyncio.to_thread(parse_json, body)


def parse_json(body: bytes) -> dict[str, Any]:
    """Parses a body as a JSON object.

    Raises:
        Refusal: 400 if it is not one.
    """
    try:
        value = json.loads(body)
    # nested too deeply, a number too long, not UTF-8
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"expected a JSON object, found {type(value).__name__}")
    return value


def from_base64(text: Any) -> bytes:
    """Decodes base64 text.

    Raises:
        Refusal: 400 if it is not valid base64.
    """
    if not isinstance(text, str):
        raise Refusal(400, f"expected base64 text, found {type(text).__name__}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"not base64: {error}") from None


def to_pixels(value: Any, dtype: str = "float32") -> np.ndarray:
    """Converts nested lists of numbers to one image `(height, width, 3)`.

    Raises:
        Refusal: 400 if they are not an image, or not finite.
    """
    try:
        with np.errstate(all="ignore"):
            image = np.asarray(value, "float64")
    except (ValueError, TypeError, OverflowError):
        raise Refusal(400, "an image is not a regular array of numbers") from None
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise Refusal(400, f"expected an image [height, width, 3], found {list(image.shape)}")
    if dtype == "uint8":
        if not ((image >= 0) & (image <= 255) & (image == np.floor(image))).all():
            raise Refusal(400, "expected whole numbers from 0 to 255")
    elif not (np.abs(image) < 1e30).all():
        raise Refusal(400, "an image holds a number that is not finite")
    return image.astype(dtype)
