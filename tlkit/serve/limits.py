"""The limits of a server, and the error for requests beyond them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits that keep a server responsive.

    Attributes:
        batch: Maximum number of images computed together.
        delay: Seconds that an image waits for others that are on their way.
        queue: Maximum number of images accepted and not yet answered.
        body: Maximum size of a request, in bytes.
        pixels: Maximum size of an image, width times height (times frames).
        seconds: Time limit for a body to arrive, and again for its answer.
    """

    batch: int = 32
    delay: float = 0.005
    queue: int = 256
    body: int = 32 * 2**20
    pixels: int = 50_000_000
    seconds: float = 30.0


class Refusal(Exception):  # noqa: N818 - it names what happened
    """A refused request, with its HTTP status and a one-line message."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        self.status, self.message, self.headers = status, message, headers
        super().__init__(message)
