"""Checks that a recipe fits the task of its data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tlkit import registry
from tlkit.errors import RecipeError, UserError
from tlkit.recipe.schema import LOSS, Component, Recipe
from tlkit.registry import Registry
from tlkit.tasks.base import Task

ALWAYS = ("loss", "val_loss")  # metrics that every task has


def settled(recipe: Recipe, task: type[Task] | Task) -> Recipe:
    """The recipe with its task filled in, and the task's default loss if it names none.

    Raises:
        RecipeError: naming everything that belongs to another task.
    """
    if problems := list(_unfit(recipe, task)):
        raise RecipeError(problems)
    tuned = recipe.finetune
    loss = tuned.loss or LOSS.validate_python(task.loss)
    return recipe.model_copy(
        update={"task": task.name, "finetune": tuned.model_copy(update={"loss": loss})}
    )


def _unfit(recipe: Recipe, task: type[Task] | Task) -> Iterator[UserError]:
    tuned = recipe.finetune
    if (loss := tuned.loss) is not None:
        wraps = registry.LOSSES[loss.name].facts.wraps
        names = [loss.name, *(loss.arguments[wraps] if wraps else ())]
        for name in names:
            yield from _other(registry.LOSSES, name, task, "finetune.loss")
        if any(stage.solver == "lbfgs" for stage in tuned.stages) and loss.name != task.loss:
            yield UserError(
                f"solver lbfgs minimises {task.loss}; found loss {loss.name!r}",
                where="finetune.loss",
            )
    yield from _other(registry.HEADS, recipe.model.head.name, task, "model.head")
    for items in (recipe.augment, *(stage.augment or [] for stage in tuned.stages)):
        for item in items:
            yield from _other(registry.AUGMENTATIONS, item.name, task, "augment")
    watched = ("val_loss", task.metric.val)
    if tuned.early_stopping is not None and tuned.early_stopping.monitor not in watched:
        yield _no_figure(task, tuned.early_stopping.monitor, watched, "finetune.early_stopping")
    for index, stage in enumerate(tuned.stages):
        monitor = (stage.schedule or Component("constant")).arguments.get("monitor", "val_loss")
        if monitor not in watched:
            yield _no_figure(task, monitor, watched, f"finetune.stages[{index}].schedule")
    if recipe.require is not None:
        known = (*task.required, task.metric.val, *ALWAYS)
        for key in recipe.require.model_dump(exclude_none=True):
            if key not in known:
                yield _no_figure(task, key, known, "require")


def _other(
    things: Registry[Any], name: str, task: type[Task] | Task, where: str
) -> Iterator[UserError]:
    """Reports a component that is for other tasks."""
    if not _is_for(things, name, task):
        fit = [other for other in things.packaged if _is_for(things, other, task)]
        yield UserError(
            f"{name!r} is not for {task.name}; those that are: {', '.join(fit)}",
            where=where,
        )


def _is_for(things: Registry[Any], name: str, task: type[Task] | Task) -> bool:
    tasks: str | None = things[name].facts.tasks
    return tasks is None or task.name in tasks.split()


def _no_figure(task: type[Task] | Task, key: str, known: tuple[str, ...], where: str) -> UserError:
    return UserError(
        f"{key} is not a metric of {task.name}; it has {', '.join(known)}", where=where
    )
