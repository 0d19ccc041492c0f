"""`tlkit report`."""

from __future__ import annotations

import pathlib

import click


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
def report(run: pathlib.Path) -> None:
    """Rewrite report.html of RUN, and print what its curves show."""
    from tlkit.report.reading import read_curves
    from tlkit.runs.folder import finished
    from tlkit.runs.report import rewrite_report
    from tlkit.tasks.find import make_task
    from tlkit.text import printable

    click.echo(rewrite_report(run))
    folder, result = finished(run)
    metric = make_task(result.get("task", "classification"), []).metric
    for found in read_curves(folder / "metrics.csv", metric, result["stages"]):
        told = f"{found.stage}: {found.kind}: {found.text}. To try: {found.change}"
        click.echo(printable(told))
