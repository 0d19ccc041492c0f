"""Metrics of the trained network, and the requirements on them."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.data.record import SplitName
from tlkit.recipe.schema import Recipe
from tlkit.reporter import Reporter
from tlkit.runs import folder as run_folder
from tlkit.tasks.base import Task
from tlkit.tasks.find import task_facts
from tlkit.tensors import Decoder, KerasModel

if TYPE_CHECKING:
    from tlkit.model import Network
    from tlkit.steps.train import TrainResult
    from tlkit.train.context import RunContext

EVALUATION_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Outputs of a network on images that it was not trained on.

    Attributes:
        network: Network as it is served; its task has the values that were tuned on validation
            images, such as thresholds.
        split: Evaluated split: test, or val if there is none.
        logits: Logits of its images.
        metrics: The task's metrics.
    """

    network: Network
    split: SplitName
    logits: np.ndarray
    metrics: dict[str, Any]

    @property
    def task(self) -> Task:
        return self.network.task

    @property
    def validation(self) -> dict[str, float]:
        """Loss and metric as named in the logs, if validation images were evaluated."""
        names = ("loss", self.task.metric.name) if self.split == "val" else ()
        return {f"val_{name}": self.metrics[name] for name in names if name in self.metrics}


def evaluate(context: RunContext, val_logits: np.ndarray | None) -> Evaluation:
    """Writes metrics and predictions.csv for the test split, or for val without one.

    Args:
        context: Context of the run, whose network is trained.
        val_logits: Logits of the validation images, if known.
    """
    from tlkit.evaluate.examples import save_examples
    from tlkit.model import served_network

    dataset, folder = context.dataset, context.folder
    network = served_network(context.network)
    if network is not context.network:
        val_logits = None  # these belong to another network
    network, val_logits = _tuned(context, network, val_logits)
    name: SplitName = "test" if "test" in dataset.splits else "val"
    split = dataset.splits[name]
    context.reporter.line(f"\nevaluating on {len(split)} images of {name} ...")
    if name == "val" and val_logits is not None:
        logits = val_logits
    else:
        logits = logits_of(network.logits, split, dataset.prepare, context.reporter)
    metrics = save_evaluation(network.task, logits, split, folder)
    answers = network.task.answers(logits)
    save_examples(network, split, dataset.prepare, answers, folder / "examples")
    network.model.save(folder / "model.keras")
    return Evaluation(network, name, logits, metrics)


def _tuned(
    context: RunContext, network: Network, val_logits: np.ndarray | None
) -> tuple[Network, np.ndarray | None]:
    """The network with values tuned on validation images, such as thresholds; and their logits.

    Writes task.json if a value was tuned.

    Args:
        context: Context of the run.
        network: Network as it is served.
        val_logits: Logits of the validation images, if known.
    """
    known, val = val_logits, context.dataset.val

    def answers() -> np.ndarray:
        nonlocal known
        if known is None:
            known = logits_of(network.logits, val, context.dataset.prepare, context.reporter)
        return network.task.answers(known)

    task = network.task.tuned(answers, val.labels) if len(val) else network.task
    if task is not network.task:
        run_folder.write_json(context.folder / "task.json", task_facts(task))
    return dataclasses.replace(network, task=task), known


def logits_of(
    model: KerasModel, split: Split, prepare: Decoder, reporter: Reporter, engine: str = "auto"
) -> np.ndarray:
    """Logits of all images of a split, by the fastest engine whose outputs match Keras's.

    Args:
        model: Model from images to logits.
        split: Split with the images.
        prepare: Decoder.
        reporter: Reports to the user which engine was chosen.
        engine: Another engine, if wanted.
    """
    from tlkit.data.pipeline import batches
    from tlkit.evaluate.forward import make_fast_forward, predict_outputs

    first, _ = next(batches(split, prepare, EVALUATION_BATCH))
    forward = make_fast_forward(model, np.asarray(first), len(split), engine, reporter.detail)
    show = reporter.progress("evaluating")
    return predict_outputs(forward, split, prepare, EVALUATION_BATCH, show)


def save_evaluation(
    task: Task, logits: np.ndarray, split: Split, folder: pathlib.Path
) -> dict[str, Any]:
    """Writes predictions.csv and the plots of an evaluation; returns its metrics."""
    answers = task.answers(logits)
    names = [record.name for record in split.records]
    labels = [record.label for record in split.records]
    task.write_predictions(folder / "predictions.csv", names, labels, answers)
    evaluation = task.evaluate(answers, split.labels)
    (folder / "plots").mkdir(exist_ok=True)
    task.save_plots(evaluation, folder / "plots")
    return evaluation


def missed_requirements(recipe: Recipe, evaluation: Evaluation, trained: TrainResult) -> list[str]:
    """The unmet requirements of the recipe's `require`, one line each.

    Args:
        recipe: Recipe of the run.
        evaluation: Evaluation of the network as it is served.
        trained: Training result, with the validation metrics if the test split was evaluated.
    """
    if recipe.require is None:
        return []
    metrics = evaluation.metrics
    found = {**trained.metrics, **metrics, **evaluation.task.requirements(metrics)}
    found |= evaluation.validation
    missed = []
    for key, wanted in recipe.require.model_dump(exclude_none=True).items():
        value = found.get(key)
        most = key.endswith(("loss", "mae", "rmse"))
        if value is None or (value > wanted if most else value < wanted):
            shown = "not known" if value is None else f"{value:.4f}"
            missed.append(
                f"{key} is {shown}; require: {'at most' if most else 'at least'} {wanted:g}"
            )
    return missed
