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
    help="Backbone whose features are used to check the labels: a name from `tlkit backbones`, or "
    "NAME=WEIGHTS_FILE; none skips this check [mobilenet_v2, or the recipe's].",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), help="Folder for check.json and "
    "check.html [checks/NAME].",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with code 1 on any error or warning.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; everything else goes to stderr.")
@engine_option
def check(
    *,
    data: pathlib.Path,
    arguments: tuple[str, ...],
    backbone: str | None,
    output: pathlib.Path | None,
    strict: bool,
    as_json: bool,
    engine: str,
) -> None:
    """Check DATA for problems that harm a model, before training starts.

    DATA is a folder of class folders, a manifest, a TFRecord file, or a recipe. Reports broken,
    tiny, blank and misnamed files, duplicates within and across splits, class imbalance and, using
    the features of a pretrained network, wrong labels and outliers. KEY=VALUE are arguments of the
    data source, such as path_column=photo root=photos, or values of the recipe.
    """
    from tlkit.runs import check as checking

    given = merged((), arguments)
    found, folder = checking.check(
        data,
        backbone=backbone,
        output=output,
        engine=engine,
        console=console(stderr=as_json),
        given=given,
    )
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    if strict and not found.is_clean:
        click.secho(f"problems found; see {folder / 'check.html'}", fg="red", err=True)
        sys.exit(1)
