"""result.json and the report."""

from __future__ import annotations

import pathlib
from typing import Any

from tlkit import run as runs
from tlkit.data.dataset import Dataset
from tlkit.data.record import SplitName
from tlkit.recipe.schema import Recipe


def write_result(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    stages: list[dict[str, Any]],
    evaluated: SplitName,
    evaluation: dict[str, Any],
    exports: dict[str, Any],
    seconds: dict[str, float],
    missed: list[str],
    sanity: list[dict[str, str]],
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Writes result.json and the report."""
    from tlkit.report.page import write_report
    from tlkit.report.plots import plot_curves
    from tlkit.steps.evaluate import validation_metrics

    best = stages[-1]["metrics"] if stages else {}
    if evaluated == "val":
        best = {**best, **validation_metrics(network.task, evaluation)}
    result = {
        "status": "below requirement" if missed else "done",
        "missed": missed,
        "sanity": sanity,
        "name": recipe.name,
        "seed": recipe.seed,
        "backbone": network.spec.name,
        "parameters": network.model.count_params(),
        "image_size": list(dataset.image_size),
        "task": network.task.name,
        "classes": len(network.classes),
        "stages": stages,
        "best": {key: best[key] for key in (network.task.metric.val, "val_loss") if key in best},
        "files": dataset.account.as_json(names=0),
        "evaluated": evaluated,
        "evaluation": evaluation,
        "test": {
            k: v
            for k, v in evaluation.items()
            if k == "intervals" or not isinstance(v, list | dict)
        }
        if evaluated == "test"
        else None,
        "export": exports,
        "peak_memory_mb": runs.peak_memory_mb(),
        "seconds": seconds,
    }
    (folder / "plots").mkdir(exist_ok=True)
    plot_curves(folder / "metrics.csv", network.task.metric.name, folder / "plots" / "curves.png")
    data = runs.read_json(folder / "data.json")
    write_report(folder, result, data)
    runs.write_json(folder / "result.json", result)
    return result
