"""Diagnostics before training: where time will go, whether it trains, and at what rate."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from tlkit.data.dataset import Dataset
from tlkit.errors import UserError
from tlkit.finding import Finding
from tlkit.recipe.schema import Recipe
from tlkit.reporter import Reporter

if TYPE_CHECKING:
    from tlkit.train.context import RunContext
    from tlkit.train.lr_find import Sweep


@dataclasses.dataclass(frozen=True)
class SweepRequest:
    """The user's request for a sweep over learning rates.

    Attributes:
        stage: Index of the stage, from 0; None for the first that trains by gradient.
        low: First rate.
        high: Last rate.
        steps: Number of steps of the sweep.
    """

    stage: int | None = None
    low: float = 1e-6
    high: float = 1.0
    steps: int = 100


def refuse_too_short(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses stages that make no update, or too few for their schedule."""
    from tlkit.train.counting import refuse_too_short

    refuse_too_short(recipe.finetune.stages, len(dataset.train))


def rehearse(context: RunContext) -> None:
    """Builds every stage once, to refuse what cannot train before anything has trained.

    Raises:
        UserError: naming the stage, and why it cannot be trained.
    """
    from tlkit.train.plans import refuse_unplaced, stage_plans
    from tlkit.train.rehearsal import rehearse

    plans = stage_plans(context.recipe, context.network)
    rehearse(context, plans)
    refuse_unplaced(plans, context.network, context.dataset, context.recipe)


def profile(context: RunContext) -> None:
    """Reports where the time of each stage would go."""
    from tlkit.train import profile as profiles
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size

    files = profiles.profile_files(context.dataset)
    for line in profiles.describe_files(files):
        context.reporter.line(line)
    for planned in stage_plans(context.recipe, context.network):
        if planned.stage.epochs:
            context.reporter.line(f"stage {planned.index + 1}: {planned.stage.name}")
            found = profiles.profile_stage(*at_own_size(context, planned), files)
            for line in profiles.describe_time(found, planned.stage.epochs):
                context.reporter.line(line)


def babysit(context: RunContext) -> list[Finding]:
    """Checks whether a recipe trains at all; reports the problems as found, and returns them."""
    from tlkit.train import babysit as checks
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size

    plans = stage_plans(context.recipe, context.network)
    stages = [at_own_size(context, planned) for planned in plans if planned.stage.epochs]
    problems = []
    for problem in checks.babysit(context, stages):
        problems.append(problem)
        _tell(problem, context.reporter, "bold red")
    return problems


def quick_checks(context: RunContext) -> list[Finding]:
    """Runs the short checks that every run makes; reports problems and does not stop."""
    from tlkit.train import babysit as checks

    network, dataset, seed = context.network, context.dataset, context.seed
    found = [*checks.check_data(dataset, seed), *checks.check_range(network, dataset, seed)]
    for problem in found:
        _tell(problem, context.reporter, "bold yellow")
    return found


def _tell(problem: Finding, reporter: Reporter, style: str) -> None:
    reporter.line(f"{problem.kind}: {problem.text}. {problem.hint}", style=style)


def find_rate(context: RunContext, wanted: SweepRequest) -> tuple[str, Sweep]:
    """Sweeps over learning rates for one stage.

    Args:
        context: Context shared by all stages.
        wanted: Which stage, and which rates.

    Returns:
        The recipe's name for the stage's optimizer, and the sweep.

    Raises:
        UserError: if there is no such stage.
    """
    from tlkit.train.lr_find import sweep_rates
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.stage_setup import set_up_stage

    plans = stage_plans(context.recipe, context.network)
    able = [p.index for p in plans if p.stage.epochs and p.stage.solver == "gradient"]
    if not able or (wanted.stage is not None and wanted.stage not in able):
        listed = ", ".join(f"{k} ({plans[k].stage.name})" for k in able) or "none"
        raise UserError(f"there is no such stage to sweep; stages with steps: {listed}")
    planned = plans[able[0] if wanted.stage is None else wanted.stage]
    assert planned.stage.optimizer is not None
    own, own_planned = at_own_size(context, planned)
    with contextlib.ExitStack() as undo:
        setup = set_up_stage(own, own_planned, undo)
        found = sweep_rates(own, setup, wanted.low, wanted.high, wanted.steps)
    return f"finetune.stages[{planned.index}].optimizer: {planned.stage.optimizer.name}", found
