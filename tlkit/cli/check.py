"""`tlkit check`."""

from __future__ import annotations

import json
import pathlib
import sys

import click

from tlkit.cli.options import console, engine_option, merged


@click.command()
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--backbone",
    default=None,
    help="Network whose features judge the labels, from `tlkit backbones`, or NAME=WEIGHTS_FILE; none "
    "leaves that out [mobilenet_v2, or the recipe's].",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder for check.json and "
    "check.html [checks/NAME].",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with code 1 if there is an error or a warning.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; all else goes to standard error.")
@engine_option
def check(
    data: pathlib.Path,
    arguments: tuple[str, ...],
    backbone: str | None,
    output: pathlib.Path | None,
    strict: bool,
    as_json: bool,
    engine: str,
) -> None:
    """Look through DATA for what spoils a model, before the hours are spent.

    DATA is a folder of class folders, a manifest, a TFRecord file, or a recipe. Looked for are
    broken, tiny, blank and misnamed files, copies within and across splits, uneven classes,
    and, by the features of a pretrained network, wrong labels and outliers. KEY=VALUE are arguments
    of the data source, as path_column=photo root=photos, or values of the recipe.
    """
    from tlkit import checking

    given = merged((), arguments)
    found, folder = checking.check(data, backbone, output, engine, console(stderr=as_json), given)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    if strict and not found.is_clean:
        click.secho(f"not clean; see {folder / 'check.html'}", fg="red", err=True)
        sys.exit(1)
