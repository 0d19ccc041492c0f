"""`tlkit plan`."""

from __future__ import annotations

import click

from tlkit.cli.options import console, merged, set_argument, set_option


@click.command()
@click.argument("recipe")
@set_argument
@set_option
@click.option(
    "--profile", is_flag=True, help="Measure how long training would take, and where the time goes."
)
@click.option("--all", "whole", is_flag=True, help="Print a line for every block of the network.")
def plan(
    recipe: str,
    overrides: tuple[str, ...],
    settings: tuple[str, ...],
    profile: bool,
    whole: bool,
) -> None:
    """Show what RECIPE would train: data, variables, modes, rates, steps, disk."""
    from tlkit.preflight import check_files
    from tlkit.recipe.load import load_recipe

    loaded = load_recipe(recipe, merged(settings, overrides))
    check_files(loaded)
    from tlkit.runs import workflow

    workflow.show_plan(loaded, console(), profile, whole)
