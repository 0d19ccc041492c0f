"""`tlkit report`."""

from __future__ import annotations

import pathlib

import click


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
def report(run: pathlib.Path) -> None:
    """Write report.html of RUN anew, and say what its curves show."""
    import json

    from tlkit import use
    from tlkit.report.reading import read_curves

    click.echo(use.rewrite_report(run))
    result = json.loads((run / "result.json").read_text("utf-8"))
    for found in read_curves(run / "metrics.csv", result["stages"]):
        click.echo(f"{found.stage}: {found.kind}: {found.text}. To try: {found.change}")
