"""`tlkit plan`."""

from __future__ import annotations

import click

from tlkit.cli.options import console, merged, set_argument, set_option


@click.command()
@click.argument("recipe")
@set_argument
@set_option
@click.option("--profile", is_flag=True, help="Measure where the time would go, and how long.")
@click.option("--all", "whole", is_flag=True, help="A line for every block of the network.")
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
    from tlkit import workflow

    workflow.show_plan(loaded, console(), profile, whole)
