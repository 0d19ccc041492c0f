"""`tlkit export`."""

from __future__ import annotations

import pathlib

import click

from tlkit.cli.options import console


@click.command()
@click.argument("run", type=click.Path(path_type=pathlib.Path))
@click.option("--format", "form", default="saved_model", show_default=True, help="Format to write.")
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder [RUN/export]."
)
def export(run: pathlib.Path, form: str, output: pathlib.Path | None) -> None:
    """Write RUN for serving, and prove that it answers as it was evaluated."""
    from tlkit import use

    use.export_run(run, form, output, console())
