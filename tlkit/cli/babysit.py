"""`tlkit babysit`."""

from __future__ import annotations

import sys

import click

from tlkit.cli.options import console, merged, set_argument, set_option


@click.command()
@click.argument("recipe")
@set_argument
@set_option
def babysit(recipe: str, overrides: tuple[str, ...], settings: tuple[str, ...]) -> None:
    """Check in a minute whether RECIPE trains at all.

    Is the first loss that of a guess, can two batches be learned by heart, do gradients reach all
    that trains and nothing that is frozen, does the range of pixels fit the weights, do labels
    have to do with images, are images shuffled, do training and validation see the same pixels?
    Exit code 1 if a problem was found.
    """
    from tlkit.preflight import check_files
    from tlkit.recipe.load import load_recipe

    loaded = load_recipe(recipe, merged(settings, overrides))
    check_files(loaded)
    from tlkit import workflow

    if workflow.check_recipe(loaded, console()):
        sys.exit(1)
