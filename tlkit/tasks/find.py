"""Tasks by their names, as a finished run's result.json has them."""

from __future__ import annotations

from collections.abc import Callable

from tlkit.tasks.base import Task
from tlkit.tasks.classification import Classification

TASKS: dict[str, Callable[[list[str]], Task]] = {Classification.name: Classification}


def make_task(name: str, outputs: list[str]) -> Task:
    """A task for given outputs.

    Args:
        name: As `Task.name`.
        outputs: Names in the order of the outputs.

    Raises:
        KeyError: if there is no such task.
    """
    return TASKS[name](outputs)
