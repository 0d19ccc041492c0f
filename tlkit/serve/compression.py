"""Bodies in `gzip` and `deflate` (RFC 9110, section 8.4.1), taken and given."""

from __future__ import annotations

import zlib

from starlette.types import Message, Receive

from tlkit.serve.limits import Refused

TAKEN = ("gzip", "deflate")
PIECE = 2**18  # bytes that are decompressed at once: a small body may stand for a large one
GZIP, ZLIB, RAW = 31, 15, -15  # window sizes that tell zlib the format


def find_encoding(header: str) -> str | None:
    """The encoding that a `Content-Encoding` names; None for bytes as they are.

    Raises:
        Refused: 415 if it is another, or more than one.
    """
    name = header.strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        return None
    if name not in TAKEN:
        raise Refused(
            415,
            f"the body is encoded as {header[:50]!r}; expected gzip, deflate or none",
            {"Accept-Encoding": ", ".join(TAKEN)},
        )
    return name


def decompressing(receive: Receive, encoding: str) -> Receive:
    """A body as it was before it was compressed, piece by piece.

    Reading it raises Refused with status 400 if it is damaged or cut short.
    """
    waiting = b""  # compressed bytes that have arrived
    more = True  # whether others come
    unpack = None  # of the member under way
    members = 0
    told = False  # whether the end was given on

    def broken(why: str) -> Refused:
        return Refused(400, f"the body is no {encoding}: {why}")

    async def read() -> Message:
        nonlocal waiting, more, unpack, members, told
        if told:  # what comes now is that the client has gone
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
                if not waiting:  # nothing, or the end of the last member
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
    # some clients send deflate without zlib's header, which RFC 9110 notes
    zlib_header = len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return ZLIB if zlib_header else RAW


def choose_encoding(header: str) -> str | None:
    """The encoding of an answer that an `Accept-Encoding` likes best; None for none."""
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
    """A body as gzip, or as zlib, which HTTP calls deflate."""
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP if encoding == "gzip" else ZLIB)
    return packer.compress(body) + packer.flush()
