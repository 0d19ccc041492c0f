"""`tlkit evaluate`."""

from __future__ import annotations

import json
import pathlib

import click

from tlkit.cli.options import console, engine_option, merged


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder for the results."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON and nothing else.")
@click.option("--on-broken", type=click.Choice(["skip", "fail"]), default="skip", show_default=True)
@engine_option
def evaluate(
    run: pathlib.Path,
    data: pathlib.Path,
    arguments: tuple[str, ...],
    output: pathlib.Path | None,
    as_json: bool,
    on_broken: str,
    engine: str,
) -> None:
    """Measure RUN on DATA, labelled images: class folders, a manifest or TFRecords.

    Classes are matched by name, in whatever order and however many are there. KEY=VALUE are arguments
    of the data source, as path_column=photo root=photos; columns that the run was trained with are
    taken from it where DATA has them.
    """
    from tlkit import use

    figures = use.evaluate_run(
        run, data, output, console(as_json), on_broken, engine, merged((), arguments)
    )
    if as_json:
        click.echo(json.dumps(figures, indent=2))
