"""Tasks by their names, as recipes and finished runs have them, and by what data are."""

from __future__ import annotations

from typing import Any

from tlkit.data.record import SourceData
from tlkit.tasks.base import Task
from tlkit.tasks.classification import Classification

# in the order in which data are asked whether they are such; the last one takes all
TASKS: dict[str, type[Task]] = {kind.name: kind for kind in (Classification,)}


def make_task(name: str, outputs: list[str], settings: dict[str, Any] | None = None) -> Task:
    """A task for given outputs.

    Args:
        name: As `Task.name`.
        outputs: Names in the order of the outputs.
        settings: As `Task.settings`.

    Raises:
        KeyError: if there is no such task.
    """
    return TASKS[name](outputs, **settings or {})  # type: ignore[call-arg]


def find_task(source: SourceData) -> type[Task]:
    """The task of data whose recipe names none."""
    return next(kind for kind in TASKS.values() if kind.fits(source))
