"""What a server takes before it says no, and how it says so."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What keeps a server answering.

    Attributes:
        batch: Images computed together at most.
        delay: Seconds that an image waits for others that are on their way.
        queue: Images accepted and not yet answered, at most.
        body: Bytes of a request.
        pixels: Of a picture, width times height (times frames).
        seconds: For a body to arrive, and again for its answer.
    """

    batch: int = 32
    delay: float = 0.005
    queue: int = 256
    body: int = 32 * 2**20
    pixels: int = 50_000_000
    seconds: float = 30.0


class Refused(Exception):  # noqa: N818 - it names what happened
    """A request that is answered with a status of its own and a line of text."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        self.status, self.message, self.headers = status, message, headers
        super().__init__(message)
