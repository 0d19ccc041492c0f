"""`tlkit backbones`."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backbones(name: str | None, as_json: bool) -> None:
    """List the pretrained backbones, or show one of them.

    In addition, hub:PRESET names any image backbone of KerasHub (requires tlkit[hub]).
    """
    import dataclasses

    from tlkit.backbones import spec as specs
    from tlkit.errors import UserError

    if name is not None and name not in specs.names():
        raise UserError(specs.suggest(name))
    rows = [specs.find(item) for item in ([name] if name else specs.names())]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    elif name:
        for field in dataclasses.fields(rows[0]):
            click.echo(f"{field.name:<14} {getattr(rows[0], field.name)}")
    else:
        click.echo(
            f"{'name':<20} {'Mparams':>7} {'size':>5} {'min':>4}  {'input':<6} {'weights':<9} licence"
        )
        for row in rows:
            weights = "bundled" if row.bundled else "imagenet"
            click.echo(
                f"{row.name:<20} {row.parameters:>7.1f} {row.size:>5} {row.minimum_size:>4}  "
                f"{row.preprocessing:<6} {weights:<9} {row.licence}"
            )
