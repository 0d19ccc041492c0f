"""`tlkit recipes ls | show | cp`, also `tlkit ls` and `tlkit cp`."""

from __future__ import annotations

import pathlib
import shutil
from typing import Any

import click

SCHEMA = "recipe.schema.json"  # next to a recipe, for completion and checks in editors


@click.group()
def recipes() -> None:
    """List, show and copy the recipes that come with tlkit."""


def _title(path: pathlib.Path) -> str:
    """First comment line that is not about the schema."""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#") and "yaml-language-server" not in line:
            return line.lstrip("# ").rstrip()
    return ""


@click.command()
def ls() -> None:
    """List the packaged recipes."""
    from tlkit.recipe.load import recipes_folder

    files = sorted(recipes_folder().glob("*.yaml"))
    width = max(len(file.stem) for file in files)
    for file in files:
        click.echo(f"{file.stem:<{width}}  {_title(file)}")


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe."""
    from tlkit.recipe.load import find_recipe

    click.echo(find_recipe(name).read_text("utf-8"), nl=False)


@click.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=pathlib.Path), default=".")
@click.option("--no-clobber", "-n", is_flag=True, help="Keep an existing file, without an error.")
@click.option("--make-parents", "-p", is_flag=True, help="Create missing parent folders of TARGET.")
@click.option("--force", "-f", is_flag=True, help="Overwrite an existing file.")
def cp(name: str, target: pathlib.Path, no_clobber: bool, make_parents: bool, force: bool) -> None:
    """Copy a recipe to TARGET, a file or a folder [.], so that you can edit it.

    Paths in a recipe are relative to its file, so data shipped with it is copied too.
    """
    from tlkit.errors import UserError
    from tlkit.recipe.load import find_recipe, read_yaml, recipes_folder

    source = find_recipe(name)
    file = target / source.name if target.is_dir() or str(target).endswith("/") else target
    if make_parents:
        file.parent.mkdir(parents=True, exist_ok=True)
    if not file.parent.is_dir():
        raise UserError("no such folder", where=str(file.parent), hint="Add -p to create it.")
    if file.exists() and not force:
        if no_clobber:
            return
        raise UserError("exists already", where=str(file), hint="Add -f to overwrite it.")
    shutil.copyfile(source, file)
    click.echo(f"wrote {file}")
    for data in [recipes_folder() / SCHEMA, *_data_files(read_yaml(source), source.parent)]:
        shutil.copyfile(data, file.parent / data.name)
        click.echo(f"wrote {file.parent / data.name}")


def _data_files(tree: Any, folder: pathlib.Path) -> list[pathlib.Path]:
    """Files next to the recipe that its data source names."""
    (source,) = tree.get("data", {}).get("source", {"": ""}).values()
    names = source.values() if isinstance(source, dict) else [source]
    found = [folder / name for name in names if isinstance(name, str)]
    return [path for path in found if path.is_file()]


for command in (ls, show, cp):
    recipes.add_command(command)
