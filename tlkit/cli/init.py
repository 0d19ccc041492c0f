"""`tlkit init`."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import click


@click.command()
@click.argument("data", type=click.Path(path_type=pathlib.Path))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=pathlib.Path),
    help="Recipe file to write [NAME.yaml].",
)
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="Pretrained backbone.")
@click.option("--force", "-f", is_flag=True, help="Overwrite an existing file.")
def init(
    data: pathlib.Path,
    arguments: tuple[str, ...],
    output: pathlib.Path | None,
    backbone: str,
    force: bool,
) -> None:
    """Inspect DATA and write a recipe for it.

    DATA is a folder, a zip or tar archive, a list (.csv, .tsv, .jsonl), a TFRecord file, or the
    export of a labelling tool; its format is detected from its content. KEY=VALUE are arguments of
    the data source, such as path_column=photo label_column=species, or source=folder to set the
    format.
    """
    from tlkit.cli.options import merged
    from tlkit.cli.recipes import SCHEMA
    from tlkit.draft import draft_recipe, recipe_name
    from tlkit.errors import UserError
    from tlkit.recipe.load import recipes_folder
    from tlkit.text import printable

    given = merged((), arguments)
    file = output or pathlib.Path(f"{recipe_name(data)}.yaml")
    if file.is_dir():
        file /= f"{recipe_name(data)}.yaml"
    if file.exists() and not force:
        raise UserError("exists already.", where=str(file), hint="Add -f to overwrite it.")
    _require_writable(file.parent)
    draft = draft_recipe(
        data, backbone, file.parent, given, lambda line: click.echo(printable(line))
    )
    try:
        file.write_text(draft.text, "utf-8")
        shutil.copyfile(recipes_folder() / SCHEMA, file.parent / SCHEMA)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(file)) from None
    for line in draft.lines:
        click.echo(printable(line))
    click.echo(printable(f"wrote {file}\nnext: tlkit finetune {file}"))


def _require_writable(folder: pathlib.Path) -> None:
    """Checks that a folder is writable before any work is done."""
    from tlkit.errors import UserError

    try:
        with tempfile.TemporaryFile(dir=folder or os.curdir):
            pass
    except OSError as error:
        if not folder.exists():
            raise UserError(
                "no such folder to write to.", where=str(folder), hint=f"Make it: mkdir -p {folder}"
            ) from None
        raise UserError(
            f"cannot be written to: {error.strerror}.",
            where=str(folder),
            hint="Choose another place with -o.",
        ) from None
