"""`tlkit init`."""

from __future__ import annotations

import pathlib
import shutil

import click


@click.command()
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.option("--output", "-o", type=click.Path(path_type=pathlib.Path), help="File [NAME.yaml].")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="A pretrained network.")
@click.option("--force", "-f", is_flag=True, help="Overwrite a file that exists.")
def init(data: pathlib.Path, output: pathlib.Path | None, backbone: str, force: bool) -> None:
    """Look at DATA, a folder or a manifest, and write a recipe for it."""
    from tlkit.cli.recipes import SCHEMA
    from tlkit.draft import draft_recipe
    from tlkit.errors import UserError
    from tlkit.recipe.load import recipes_folder

    text, name = draft_recipe(data, backbone, (output or pathlib.Path("x")).parent)
    file = output or pathlib.Path(f"{name}.yaml")
    if file.exists() and not force:
        raise UserError("exists already", where=str(file), hint="Add -f to overwrite it.")
    file.write_text(text, "utf-8")
    shutil.copyfile(recipes_folder() / SCHEMA, file.parent / SCHEMA)
    click.echo(f"wrote {file}\nnext: tlkit finetune {file}")
