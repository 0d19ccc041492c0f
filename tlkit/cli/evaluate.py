"""`tlkit evaluate`."""

from __future__ import annotations

import json
import pathlib

import click

from tlkit.cli.options import console, engine_option


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder for the results."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON and nothing else.")
@click.option("--on-broken", type=click.Choice(["skip", "fail"]), default="skip", show_default=True)
@engine_option
def evaluate(
    run: pathlib.Path,
    data: pathlib.Path,
    output: pathlib.Path | None,
    as_json: bool,
    on_broken: str,
    engine: str,
) -> None:
    """Measure RUN on DATA, labelled images: class folders, a manifest or TFRecords.

    Classes are matched by name, in whatever order and however many are there.
    """
    from tlkit import use

    figures = use.evaluate_run(run, data, output, console(as_json), on_broken, engine)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
