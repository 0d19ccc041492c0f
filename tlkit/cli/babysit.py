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

    Checks that the first loss matches that of a random guess, that the network can overfit two
    batches, that gradients reach all trainable variables and no frozen ones, that the pixel range
    fits the weights, that the labels are related to the images, that images are shuffled, and
    that training and validation see the same pixels. Exit code 1 if a problem is found.
    """
    from tlkit.preflight import check_files
    from tlkit.recipe.load import load_recipe

    loaded = load_recipe(recipe, merged(settings, overrides))
    check_files(loaded)
    from tlkit.runs import workflow

    if workflow.check_recipe(loaded, console()):
        sys.exit(1)
