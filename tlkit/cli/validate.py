"""`tlkit validate`."""

from __future__ import annotations

import pathlib

import click

from tlkit.cli.options import merged, set_argument, set_option


@click.command()
@click.argument("recipe")
@set_argument
@set_option
@click.option(
    "--print", "show", is_flag=True, help="Print the complete recipe, including defaults."
)
def validate(
    recipe: str, overrides: tuple[str, ...], settings: tuple[str, ...], show: bool
) -> None:
    """Validate the whole RECIPE without TensorFlow.

    To evaluate a trained model, use: tlkit evaluate RUN DATA
    """
    from tlkit.errors import UserError
    from tlkit.recipe.load import load_recipe

    path = pathlib.Path(recipe)
    if path.suffix in (".keras", ".h5", ".pb") or (path / "result.json").exists():
        raise UserError(
            "is a trained model; validate checks recipes.",
            where=recipe,
            hint=f"To evaluate it: tlkit evaluate {recipe} DATA",
        )
    loaded = load_recipe(recipe, merged(settings, overrides))
    from tlkit.preflight import check_files

    check_files(loaded)
    if show:
        from tlkit.runs.folder import recipe_yaml
        from tlkit.train.defaults import completed

        click.echo(recipe_yaml(completed(loaded)), nl=False)
    else:
        click.secho(f"{recipe} is valid", fg="green")
        click.echo("to evaluate a trained model: tlkit evaluate RUN DATA")
