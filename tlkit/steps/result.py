"""The result of a run: result.json, the report, and the summary for the user."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tlkit.finding import Finding
from tlkit.runs import folder as run_folder

if TYPE_CHECKING:
    from tlkit.steps.evaluate import Evaluation
    from tlkit.steps.export import ExportResult
    from tlkit.steps.train import TrainResult
    from tlkit.train.context import RunContext


@dataclasses.dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        trained: Result of its stages.
        evaluation: Evaluation of the network as it is served.
        exports: Models in the wanted formats.
        missed: Unmet requirements of `require`, one line each.
        sanity: Problems found before training.
        seconds: Seconds by part of the run, and the total.
    """

    trained: TrainResult
    evaluation: Evaluation
    exports: list[ExportResult]
    missed: list[str]
    sanity: list[Finding]
    seconds: dict[str, float]

    def as_json(self, context: RunContext) -> dict[str, Any]:
        """The contents of result.json.

        Args:
            context: Context of the run.
        """
        recipe, dataset = context.recipe, context.dataset
        evaluation, network = self.evaluation, self.evaluation.network
        metrics = evaluation.metrics
        best = {**self.trained.metrics, **evaluation.validation}
        plain = {k: v for k, v in metrics.items() if not isinstance(v, list | dict)}
        if "intervals" in metrics:
            plain["intervals"] = metrics["intervals"]
        return {
            "status": "below requirement" if self.missed else "done",
            "missed": self.missed,
            "sanity": [dataclasses.asdict(finding) for finding in self.sanity],
            "name": recipe.name,
            "seed": recipe.seed,
            "backbone": network.spec.name,
            "parameters": network.model.count_params(),
            "image_size": list(dataset.image_size),
            "task": network.task.name,
            "classes": len(network.classes),
            "stages": [stage.as_json() for stage in self.trained.stages],
            "best": {
                key: best[key] for key in (network.task.metric.val, "val_loss") if key in best
            },
            "files": dataset.account.as_json(names=0),
            "evaluated": evaluation.split,
            "evaluation": metrics,
            "test": plain if evaluation.split == "test" else None,
            "export": {export.name: export.as_json(context.folder) for export in self.exports},
            "peak_memory_mb": run_folder.peak_memory_mb(),
            "seconds": self.seconds,
        }


def write_result(context: RunContext, result: RunResult) -> dict[str, Any]:
    """Writes result.json and the report; returns the contents of result.json."""
    from tlkit.report.page import write_report
    from tlkit.report.plots import plot_curves

    folder, metric = context.folder, context.network.task.metric
    (folder / "plots").mkdir(exist_ok=True)
    plot_curves(folder / "metrics.csv", metric.name, folder / "plots" / "curves.png")
    written = result.as_json(context)
    write_report(folder, written, run_folder.read_json(folder / "data.json"))
    run_folder.write_json(folder / "result.json", written)
    return written


def tell_result(context: RunContext, result: RunResult) -> None:
    """Prints the main metrics, if labels are known, and the files of a run."""
    folder, evaluation, line = context.folder, result.evaluation, context.reporter.line
    summary = evaluation.task.summary(evaluation.metrics)
    line("")
    if summary is not None:
        line(
            f"{evaluation.split} {summary} on {evaluation.metrics['images']} images, "
            f"in {result.seconds['total']:.0f} s",
            style="bold",
        )
    line(f"run      {folder}")
    line(f"report   {folder / 'report.html'}")
    for export in result.exports:
        line(f"{export.name:<8} {export.path}")
    line(f"use it   tlkit predict {folder} YOUR_PHOTOS")
