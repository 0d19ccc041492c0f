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
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Output file [stdout]."
)
@click.option(
    "--top",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of classes per image.",
)
@engine_option
def predict(
    *,
    run: pathlib.Path,
    paths: tuple[pathlib.Path, ...],
    form: str,
    output: pathlib.Path | None,
    top: int,
    engine: str,
) -> None:
    """Label images with RUN: PATHS are files and folders."""
    from tlkit.reporter import Reporter
    from tlkit.runs.folder import try_to_write
    from tlkit.runs.predict import predict_records, records_of, write_rows
    from tlkit.runs.trained_run import load_trained_run

    reporter = Reporter(console(stderr=True))
    # on a terminal, the rows themselves show the progress
    bar = output is not None or not sys.stdout.isatty()
    records = records_of(paths, reporter)
    opened = load_trained_run(run)
    rows = predict_records(opened, records, top, engine, reporter, bar=bar)
    if output is None:
        broken = write_rows(rows, sys.stdout, form, opened.task, top)
    else:
        try_to_write(output.parent)
        with open(output, "w", encoding="utf-8", newline="") as file:
            broken = write_rows(rows, file, form, opened.task, top)
    if broken:
        click.secho(
            f"{broken} files could not be read; see the column error", fg="yellow", err=True
        )
