"""`tlkit predict`."""

from __future__ import annotations

import pathlib
import sys

import click

from tlkit.cli.options import console, engine_option


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=pathlib.Path))
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True
)
@click.option("--output", "-o", type=click.Path(path_type=pathlib.Path), help="File [screen].")
@click.option(
    "--top", type=click.IntRange(1), default=1, show_default=True, help="Classes an image."
)
@engine_option
def predict(
    run: pathlib.Path,
    paths: tuple[pathlib.Path, ...],
    form: str,
    output: pathlib.Path | None,
    top: int,
    engine: str,
) -> None:
    """Label images with RUN: PATHS are files and folders."""
    from tlkit import use
    from tlkit.run import try_to_write
    from tlkit.steps import Speaker

    screen = console(stderr=True)
    show = None
    if output is not None or not sys.stdout.isatty():
        show = Speaker(screen).progress("predicting")
    say = Speaker(screen).line
    records = use.records_of(paths, say)
    opened = use.load_run(run)
    rows = use.predict_records(opened, records, top, engine, say, show)
    if output is None:
        broken = use.write_rows(rows, sys.stdout, form, opened.task, top)
    else:
        try_to_write(output.parent)
        with open(output, "w", encoding="utf-8", newline="") as file:
            broken = use.write_rows(rows, file, form, opened.task, top)
    if broken:
        click.secho(
            f"{broken} files could not be read; see the column error", fg="yellow", err=True
        )
