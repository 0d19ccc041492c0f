"""`tlkit evaluate`."""

from __future__ import annotations

import json
import pathlib

import click

from tlkit.cli.options import console, engine_option, merged
from tlkit.reporter import Reporter


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder for the results."
)
@click.option("--json", "as_json", is_flag=True, help="Print only the metrics, as JSON.")
@click.option("--on-broken", type=click.Choice(["skip", "fail"]), default="skip", show_default=True)
@engine_option
def evaluate(
    *,
    run: pathlib.Path,
    data: pathlib.Path,
    arguments: tuple[str, ...],
    output: pathlib.Path | None,
    as_json: bool,
    on_broken: str,
    engine: str,
) -> None:
    """Evaluate RUN on labelled images in DATA: class folders, a manifest or TFRecords.

    Classes are matched by name, in any order; DATA need not contain all of them. KEY=VALUE are
    arguments of the data source, such as path_column=photo root=photos. The column names used in
    training are reused if DATA has these columns.
    """
    from tlkit.runs.evaluate import evaluate_run

    figures = evaluate_run(
        run,
        data,
        output,
        reporter=Reporter(console(as_json)),
        on_broken=on_broken,
        engine=engine,
        given=merged((), arguments),
    )
    if as_json:
        click.echo(json.dumps(figures, indent=2))
