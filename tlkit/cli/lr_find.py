"""`tlkit lr-find`."""

from __future__ import annotations

import pathlib

import click

from tlkit.cli.options import console, merged, set_argument, set_option

ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.command("lr-find")
@click.argument("recipe")
@set_argument
@set_option
@click.option(
    "--stage", type=click.IntRange(0), help="Index of the stage, from 0 [the first with steps]."
)
@click.option("--min", "low", type=ABOVE_ZERO, default=1e-6, show_default=True, help="Lowest rate.")
@click.option(
    "--max", "high", type=ABOVE_ZERO, default=1.0, show_default=True, help="Highest rate."
)
@click.option("--steps", type=click.IntRange(20), default=100, show_default=True)
@click.option(
    "--output", "-o", type=click.Path(path_type=pathlib.Path), default="lr-find.png",
    show_default=True, help="PNG file for the curve.",
)  # fmt: skip
def lr_find(
    *,
    recipe: str,
    overrides: tuple[str, ...],
    settings: tuple[str, ...],
    stage: int | None,
    low: float,
    high: float,
    steps: int,
    output: pathlib.Path,
) -> None:
    """Find a learning rate for RECIPE: raise it step by step until the loss rises.

    Prints the value to paste. In a recipe, `learning_rate: auto` does the same at the start of the
    stage, with the network in its current state.
    """
    from tlkit.preflight import check_files
    from tlkit.recipe.load import load_recipe

    if low >= high:
        raise click.UsageError(f"--min {low:g} must be below --max {high:g}")
    loaded = load_recipe(recipe, merged(settings, overrides))
    check_files(loaded)
    from tlkit.runs import workflow

    workflow.find_learning_rate(
        loaded,
        stage,
        low=low,
        high=high,
        steps_wanted=steps,
        target=output,
        console=console(),
    )
