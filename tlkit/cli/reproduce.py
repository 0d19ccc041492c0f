"""`tlkit reproduce`."""

from __future__ import annotations

import pathlib
import sys

import click

from tlkit.cli.options import console


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--run-dir", type=click.Path(path_type=pathlib.Path), help="Folder of the new run "
    "[runs/NAME/TIME].",
)  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Print only the differences.")
def reproduce(run: pathlib.Path, run_dir: pathlib.Path | None, quiet: bool) -> None:
    """Run the recipe of RUN again and print what differs: packages, images, metrics, weights.

    With `deterministic: true`, nothing differs on the same machine with the same number of cores.
    Exit code 1 if anything differs.
    """
    from tlkit.runs import workflow

    found = workflow.reproduce(run, run_dir, console(quiet))
    for line in found:
        click.echo(f"differs: {line}")
    if found:
        sys.exit(1)
    click.echo("bit-identical")
