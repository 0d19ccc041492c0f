"""Looks up tasks by name, for recipes and finished runs, or by their data."""

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

# typed metrics of evaluations
AnyFigures: TypeAlias = Metrics | MultiLabelMetrics | RegressionMetrics

# in the order in which they are asked whether the data suit them; the last one accepts all data
TASKS: dict[str, type[Task]] = {
    kind.name: kind for kind in (Regression, MultiLabel, Classification)
}


def make_task(name: str, outputs: list[str], settings: dict[str, Any] | None = None) -> Task:
    """Builds a task for given outputs.

    Args:
        name: Value of `Task.name`.
        outputs: Names of the outputs, in order.
        settings: Value of `Task.settings`.

    Raises:
        KeyError: if there is no such task.
    """
    return TASKS[name](outputs, **settings or {})  # type: ignore[call-arg]


def task_facts(task: Task) -> dict[str, Any]:
    """The JSON values from which `read_task` rebuilds a task."""
    return {"task": task.name, "outputs": task.outputs, "settings": task.settings}


def read_task(facts: dict[str, Any]) -> Task:
    """Rebuilds the task that `task_facts` describes."""
    return make_task(facts["task"], facts["outputs"], facts["settings"])


def find_task(source: SourceData) -> type[Task]:
    """The task for data whose recipe names none."""
    return next(kind for kind in TASKS.values() if kind.fits(source))
