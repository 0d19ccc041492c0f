"""`tlkit serve`."""

from __future__ import annotations

import importlib.util
import logging
import pathlib
import re

import click

from tlkit.cli.options import console

NAME = r"[A-Za-z0-9][\w.-]*"  # same as for a recipe
NEEDS = ("starlette", "uvicorn", "httptools", "python_multipart", "prometheus_client")


@click.command()
@click.argument("target", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--format", "form", help="Export format to serve, such as onnx or litert:int8 [saved_model]."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8501,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--name", help="Model name in URLs [the recipe's].")
@click.option(
    "--token",
    envvar="TLKIT_TOKEN",
    help="Bearer token that clients must send; prefer setting the variable TLKIT_TOKEN.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Allow cross-origin requests (CORS) from this origin; repeatable.",
)
@click.option(
    "--max-batch",
    default=32,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Maximum number of images per batch.",
)
@click.option(
    "--max-delay",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, 1000),
    help="Maximum time in milliseconds that an image waits for others to fill a batch.",
)
@click.option(
    "--max-queue",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum number of pending images; further ones get status 503.",
)
@click.option(
    "--max-body",
    default=32.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Maximum size of a request in MiB.",
)
@click.option(
    "--max-pixels",
    default=50.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Maximum size of an image in megapixels.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds for receiving a request, and again for answering it.",
)
@click.option("--log", is_flag=True, help="Log each request.")
def serve(
    *,
    target: pathlib.Path,
    form: str | None,
    host: str,
    port: int,
    name: str | None,
    token: str | None,
    origins: tuple[str, ...],
    max_batch: int,
    max_delay: float,
    max_queue: int,
    max_body: float,
    max_pixels: float,
    timeout: float,
    log: bool,
) -> None:
    """Serve TARGET, a run or an export, over HTTP.

    For experiments, demos and small installations: a web page to drop a photo on, TensorFlow
    Serving's REST API, KServe's protocol 2, and curl -F file=@photo.jpg. If a run has no exports,
    a SavedModel is written first. Before listening, the server predicts the export's golden images,
    and stops if the predictions do not match the evaluation.
    """
    from tlkit.errors import UserError
    from tlkit.runs.export import export_run
    from tlkit.serve.find import find_export
    from tlkit.serve.limits import Limits
    from tlkit.serve.run import serve as start

    if not all(importlib.util.find_spec(package) for package in NEEDS):
        raise UserError(
            "the server is not installed.", hint="Install it: pip install 'tlkit[serve]'"
        )
    if name is not None and not re.fullmatch(NAME, name):
        raise UserError(
            f"{name!r} is not a valid name in a URL", where="--name", hint=f"Expected {NAME}"
        )
    screen = console()
    form = form and form.replace(":", "-")
    folder = find_export(target, form)
    if folder is None:
        wanted = (form or "saved_model").replace("-", ":", 1)
        screen.print(f"{target} has no such export; writing {wanted} ...", highlight=False)
        export_run(target, [wanted], None, screen)
        folder = find_export(target, form)
        assert folder is not None
    if host not in ("127.0.0.1", "::1", "localhost") and not token:
        click.secho(
            f"anyone who can reach {host} may send requests: no --token is set",
            fg="yellow",
            err=True,
        )
    limits = Limits(
        max_batch, max_delay / 1e3, max_queue, int(max_body * 2**20), int(max_pixels * 1e6), timeout
    )
    logging.disable(logging.NOTSET)  # keep the server's own log
    start(
        folder,
        host,
        port,
        limits,
        name=name,
        token=token,
        origins=origins,
        log=log,
        say=lambda line: screen.print(line, highlight=False, markup=False),
    )
