"""Request and response bodies in `gzip` and `deflate` (RFC 9110, section 8.4.1)."""

from __future__ import annotations

import zlib

from starlette.types import Message, Receive

from tlkit.serve.limits import Refusal

TAKEN = ("gzip", "deflate")
PIECE = 2**18  # bytes decompressed at once, as a small body may expand to a very large one
GZIP, ZLIB, RAW = 31, 15, -15  # window sizes that select the format in zlib


def find_encoding(header: str) -> str | None:
    """The encoding that a `Content-Encoding` header names; None for uncompressed bytes.

    Raises:
        Refusal: 415 if it is another, or more than one.
    """
    name = header.strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        return None
    if name not in TAKEN:
        raise Refusal(
            415,
            f"the body is encoded as {header[:50]!r}; expected gzip, deflate or none",
            {"Accept-Encoding": ", ".join(TAKEN)},
        )
    return name


def decompressing(receive: Receive, encoding: str) -> Receive:
    """Wraps `receive` to decompress a body piece by piece.

    Reading raises Refused with status 400 if the body is damaged or truncated.
    """
    waiting = b""  # compressed bytes not yet processed
    more = True  # whether more bytes will arrive
    unpack = None  # decompressor of the current member
    members = 0
    told = False  # whether the end of the body was passed on

    def broken(why: str) -> Refusal:
        return Refusal(400, f"the body is no {encoding}: {why}")

    async def read() -> Message:
        nonlocal waiting, more, unpack, members, told
        if told:  # after the body, the next message is that the client disconnected
            return await receive()
        while True:
            lacking = not waiting or (unpack is None and len(waiting) < 2)
            if lacking and more:
                message = await receive()
                if message["type"] != "http.request":
                    return message
                waiting += message.get("body", b"")
                more = message.get("more_body", False)
                continue
            if unpack is None:
                if not waiting:  # the body is empty, or its last member has ended
                    told = True
                    return {"type": "http.request", "body": b"", "more_body": False}
                if members and encoding == "deflate":
                    raise broken("bytes follow its end")
                unpack = zlib.decompressobj(_window(encoding, waiting))
            try:
                piece = unpack.decompress(waiting, PIECE)
            except zlib.error as error:
                raise broken(str(error)) from None
            waiting = unpack.unconsumed_tail
            if unpack.eof:
                waiting, unpack, members = unpack.unused_data, None, members + 1
            elif not piece and not waiting and not more:
                raise broken("it is cut short")
            if piece:
                return {"type": "http.request", "body": piece, "more_body": True}

    return read


def _window(encoding: str, start: bytes) -> int:
    if encoding == "gzip":
        return GZIP
    # some clients send deflate without the zlib header, as RFC 9110 notes
    zlib_header = len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return ZLIB if zlib_header else RAW


def choose_encoding(header: str) -> str | None:
    """The response encoding that an `Accept-Encoding` header prefers; None for no compression."""
    best, most = None, 0.0
    for item in header.lower().split(","):
        name, _, parameter = item.strip().partition(";")
        key, _, value = parameter.strip().partition("=")
        try:
            liking = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            continue
        if name.strip() in TAKEN and liking > most:
            best, most = name.strip(), liking
    return best


def compress(body: bytes, encoding: str) -> bytes:
    """Compresses a body as gzip, or as zlib, which HTTP calls deflate."""
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP if encoding == "gzip" else ZLIB)
    return packer.compress(body) + packer.flush()
