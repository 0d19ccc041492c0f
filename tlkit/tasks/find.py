"""Tasks by their names, as recipes and finished runs have them, and by what data are."""

from __future__ import annotations

from typing import Any, TypeAlias

from tlkit.data.record import SourceData
from tlkit.tasks.base import Task
from tlkit.tasks.classification import Classification
from tlkit.tasks.classification.figures import Metrics
from tlkit.tasks.multi_label import MultiLabel
from tlkit.tasks.multi_label.figures import MultiLabelMetrics
from tlkit.tasks.regression import Regression
from tlkit.tasks.regression.figures import RegressionMetrics

# what evaluations give, with types
AnyFigures: TypeAlias = Metrics | MultiLabelMetrics | RegressionMetrics

# in the order in which data are asked whether they are such; the last one takes all
TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Regression, MultiLabel, Classification)
}


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


def task_facts(task: Task) -> dict[str, Any]:
    """What `read_task` makes a task of, as JSON has it."""
    return {"task": task.name, "outputs": task.outputs, "settings": task.settings}


def read_task(facts: dict[str, Any]) -> Task:
    """The task that `task_facts` describes."""
    return make_task(facts["task"], facts["outputs"], facts["settings"])


def find_task(source: SourceData) -> type[Task]:
    """The task of data whose recipe names none."""
    return next(kind for kind in TASKS.values() if kind.fits(source))
