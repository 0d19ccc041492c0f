"""The server process: binds a port, loads a model, and shuts down cleanly."""

from __future__ import annotations

import pathlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

from tlkit.errors import UserError
from tlkit.serve.limits import Limits
from tlkit.steps.start import import_tensorflow


def open_port(host: str, port: int) -> socket.socket:
    """Opens a socket bound to an address; port 0 takes a free one.

    Raises:
        UserError: if the address is in use or does not belong to this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot listen: {error.strerror}",
            where=f"{host}:{port}",
            hint="Name another --port; 0 takes a free one.",
        ) from None
    return opened


def serve(
    folder: pathlib.Path,
    host: str,
    port: int,
    limits: Limits,
    *,
    name: str | None = None,
    token: str | None = None,
    origins: Sequence[str] = (),
    log: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Serves an export until the process is stopped; requests in progress are answered.

    Args:
        folder: Export folder.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        limits: Limits beyond which requests are refused.
        name: Model name in URLs; the recipe's name by default.
        token: Bearer token that clients must send.
        origins: Origins whose pages may send cross-origin requests.
        log: Whether to log each request.
        say: Called with messages for the user.

    Raises:
        UserError: if the export cannot be loaded, or the address is in use.
    """
    opened = open_port(host, port)
    # a requested stop exits with status 0, even while loading; uvicorn first waits for answers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start = time.perf_counter()
    import_tensorflow()
    import uvicorn

    from tlkit.serve.app import make_app
    from tlkit.serve.deployed import load_export, prove

    deployed = load_export(folder, name)
    if proof := prove(deployed, folder):
        say(f"{folder}: {proof[0]} golden pictures answered, largest difference {proof[1]:.1e}")
    else:
        say(f"{folder}: has no golden pack, so it is not known whether it answers as evaluated")
    opened.listen()  # requests are accepted from here on; the first one waits a moment
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{opened.getsockname()[1]}"
    say(f"{deployed.name} is ready after {time.perf_counter() - start:.1f} s; Ctrl-C stops it")
    say(f"  page        {address}/")
    say(f"  curl        curl -F file=@photo.jpg {address}/predict")
    say(f"  TensorFlow  {address}/v1/models/{deployed.name}:predict")
    say(f"  KServe      {address}/v2/models/{deployed.name}/infer")
    say(f"  also        {address}/metrics  {address}/openapi.json")
    config = uvicorn.Config(
        make_app(deployed, limits, token, origins),
        log_level="info" if log else "warning",
        access_log=log,
        server_header=False,
        http="httptools",
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
    uvicorn.Server(config).run(sockets=[opened])
