"""`tlkit compare`."""

from __future__ import annotations

import pathlib

import click

PATH = click.Path(path_type=pathlib.Path)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--output", "-o", type=PATH, default="compare.html", show_default=True)
def compare(runs: tuple[pathlib.Path, ...], output: pathlib.Path) -> None:
    """Compare RUNS: differences between their recipes, and the resulting metrics.

    Metrics are shown with bootstrap confidence intervals. The first run is tested against each
    other run on the same images (McNemar).
    """
    if len(runs) < 2:
        raise click.UsageError("name at least two runs")
    from tlkit.runs import compare as comparing
    from tlkit.runs.folder import try_to_write

    try_to_write(output.parent)
    compared = [comparing.read_compared(run) for run in runs]
    for line in comparing.describe(compared):
        click.echo(line)
    comparing.write_comparison(compared, output)
    click.echo(f"\nwritten to {output}")
