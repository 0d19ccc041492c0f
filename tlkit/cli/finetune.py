"""`tlkit finetune`."""

from __future__ import annotations

import pathlib
import sys

import click

from tlkit.cli.options import console, merged, set_argument, set_option


@click.command()
@click.argument("recipe", required=False)
@set_argument
@set_option
@click.option(
    "--run-dir", type=click.Path(path_type=pathlib.Path), help="Run folder [runs/NAME/TIME]."
)
@click.option(
    "--resume",
    "resumed",
    metavar="RUN",
    is_flag=False,
    flag_value="",
    help="Resume an interrupted run; without RUN, the latest.",
)
@click.option("--allow-data-change", is_flag=True, help="Resume even if images have changed since.")
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
def finetune(
    *,
    recipe: str | None,
    overrides: tuple[str, ...],
    settings: tuple[str, ...],
    run_dir: pathlib.Path | None,
    resumed: str | None,
    allow_data_change: bool,
    quiet: bool,
) -> None:
    """Run RECIPE: read the data, train, evaluate, report, export.

    RECIPE is a YAML file, or the name of a packaged recipe (tlkit ls). Exit codes: 0 done,
    1 failed, 2 invalid input, 130 stopped after saving a checkpoint.
    """
    if recipe is None and resumed is None:
        raise click.UsageError("name a recipe, for example: tlkit finetune quickstart")
    if resumed is not None and (recipe or overrides or settings or run_dir):
        raise click.UsageError(
            "--resume continues a run unchanged; it accepts no recipe or settings"
        )
    if allow_data_change and resumed is None:
        raise click.UsageError("--allow-data-change belongs to --resume")
    changes = merged(settings, overrides)
    if recipe is not None:
        from tlkit.preflight import check_files
        from tlkit.recipe.load import load_recipe

        check_files(load_recipe(recipe, changes))
    from tlkit.runs import workflow
    from tlkit.train.interrupt import Interrupted

    try:
        if resumed is not None:
            workflow.resume(resumed or "runs/latest", console(quiet), allow_data_change)
        else:
            assert recipe is not None
            workflow.finetune(recipe, changes, run_dir, console(quiet))
    except Interrupted as stop:
        click.secho(
            f"stopped; a checkpoint is saved. Resume with: tlkit finetune --resume {stop.folder}",
            fg="yellow",
            err=True,
        )
        sys.exit(130)
