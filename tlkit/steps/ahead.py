"""Looks ahead: where time will go, whether it trains at all, at what rate."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from tlkit.data.dataset import Dataset
from tlkit.errors import UserError
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker
from tlkit.steps.train import make_training


def refuse_too_short(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses stages that make no update, or too few for their schedule."""
    from tlkit.train.counting import refuse_too_short

    refuse_too_short(recipe.finetune.stages, len(dataset.train))


def rehearse(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> None:
    """Makes every stage ready once, so that what cannot train is refused before anything has.

    Raises:
        UserError: naming the stage, and why it cannot be trained.
    """
    from tlkit.train.plans import refuse_unplaced, stage_plans
    from tlkit.train.rehearsal import rehearse
    from tlkit.train.state import TrainState

    plans = stage_plans(recipe, network)
    training = make_training(recipe, dataset, network, TrainState(), None, say)
    rehearse(training, recipe, plans)
    refuse_unplaced(plans, network, dataset, recipe)


def profile(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> None:
    """Says where the time of each stage would go."""
    from tlkit.train import profile as profiles
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    training = make_training(recipe, dataset, network, TrainState(), None, say)
    files = profiles.profile_files(dataset)
    for line in profiles.describe_files(files):
        say.line(line)
    for index, (stage, plan) in enumerate(stage_plans(recipe, network)):
        if stage.epochs:
            say.line(f"stage {index + 1}: {stage.name}")
            own, own_plan = at_own_size(training, recipe, stage, plan)
            found = profiles.profile_stage(own, stage, own_plan, files)
            for line in profiles.describe_time(found, stage.epochs):
                say.line(line)


def babysit(recipe: Recipe, dataset: Dataset, network: Any, say: Speaker) -> list[Any]:
    """Checks whether a recipe trains at all; returns the problems, which it tells as they come."""
    from tlkit.train import babysit as checks
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    training = make_training(recipe, dataset, network, TrainState(), None, say)
    stages = []
    for stage, plan in stage_plans(recipe, network):
        if stage.epochs:
            own, own_plan = at_own_size(training, recipe, stage, plan)
            stages.append((own, stage, own_plan))
    problems = []
    for problem in checks.babysit(training, stages):
        problems.append(problem)
        say.line(f"{problem.kind}: {problem.text}. {problem.hint}", style="bold red")
    return problems


def quick_checks(dataset: Dataset, network: Any, seed: int, say: Speaker) -> list[dict[str, str]]:
    """The short ones of these checks, which every run makes; problems are told, not more."""
    from tlkit.train import babysit as checks

    found = [*checks.check_data(dataset, seed), *checks.check_range(network, dataset, seed)]
    for problem in found:
        say.line(f"{problem.kind}: {problem.text}. {problem.hint}", style="bold yellow")
    return [dataclasses.asdict(problem) for problem in found]


def find_rate(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    number: int | None,
    low: float,
    high: float,
    steps: int,
    say: Speaker,
) -> tuple[str, Any]:
    """Sweeps over learning rates for one stage.

    Args:
        recipe: Completed.
        dataset: Images.
        network: As it was loaded.
        number: Of the stage, from 0; the first that trains by gradient if not given.
        low: First rate.
        high: Last rate.
        steps: Of the sweep.
        say: Tells a person.

    Returns:
        What the recipe calls the stage's optimizer, and the sweep.

    Raises:
        UserError: if there is no such stage.
    """
    from tlkit.train.loop import prepare_stage
    from tlkit.train.lr_find import sweep_rates
    from tlkit.train.plans import stage_plans
    from tlkit.train.resizing import at_own_size
    from tlkit.train.state import TrainState

    plans = stage_plans(recipe, network)
    able = [k for k, (s, _) in enumerate(plans) if s.epochs and s.solver == "gradient"]
    if not able or (number is not None and number not in able):
        listed = ", ".join(f"{k} ({plans[k][0].name})" for k in able) or "none"
        raise UserError(f"there is no such stage to sweep; stages with steps: {listed}")
    chosen = able[0] if number is None else number
    stage, plan = plans[chosen]
    assert stage.optimizer is not None
    training = make_training(recipe, dataset, network, TrainState(), None, say)
    own, own_plan = at_own_size(training, recipe, stage, plan)
    with contextlib.ExitStack() as undo:
        ready = prepare_stage(own, stage, own_plan, undo)
        found = sweep_rates(own, ready, low, high, steps)
    return f"finetune.stages[{chosen}].optimizer: {stage.optimizer.name}", found
