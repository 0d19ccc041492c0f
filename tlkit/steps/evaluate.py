"""Figures of the trained network, and what they must reach."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit import run as runs
from tlkit.data.dataset import Dataset, Split
from tlkit.data.record import SplitName
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker
from tlkit.tasks.base import Task
from tlkit.tasks.find import task_facts

if TYPE_CHECKING:
    from tlkit.model import Network

EVALUATION_BATCH = 32


def evaluate(
    dataset: Dataset,
    network: Any,
    val_logits: np.ndarray | None,
    folder: pathlib.Path,
    say: Speaker,
) -> tuple[SplitName, np.ndarray, dict[str, Any]]:
    """Figures and predictions.csv for the test split, or val where there is no test.

    Args:
        dataset: Images.
        network: As it is served.
        val_logits: Of the validation images, where they are known.
        folder: Of the run.
        say: Tells a person.
    """
    from tlkit.evaluate.examples import save_examples

    task = network.task
    name: SplitName = "test" if "test" in dataset.splits else "val"
    split = dataset.splits[name]
    say.line(f"\nevaluating on {len(split)} images of {name} ...")
    if name == "val" and val_logits is not None:
        logits = val_logits
    else:
        logits = logits_of(network.logits, split, dataset.prepare, say)
    evaluation = save_evaluation(task, logits, split, folder)
    answers = task.answers(logits)
    save_examples(task, network.logits, split, dataset.prepare, answers, folder / "examples")
    network.model.save(folder / "model.keras")
    return name, logits, evaluation


def tuned(
    dataset: Dataset,
    network: Network,
    val_logits: np.ndarray | None,
    folder: pathlib.Path,
    say: Speaker,
) -> tuple[Network, np.ndarray | None]:
    """The network with what its task chooses on validation images, as thresholds, and their logits.

    Args:
        dataset: Images.
        network: As it is served.
        val_logits: Of the validation images, where they are known.
        folder: Of the run, whose task.json is written.
        say: Tells a person.
    """
    known = val_logits

    def answers() -> np.ndarray:
        nonlocal known
        if known is None:
            known = logits_of(network.logits, dataset.val, dataset.prepare, say)
        return network.task.answers(known)

    task = network.task.tuned(answers, dataset.val.labels) if len(dataset.val) else network.task
    if task is not network.task:
        runs.write_json(folder / "task.json", task_facts(task))
    return dataclasses.replace(network, task=task), known


def logits_of(
    model: Any, split: Split, prepare: Any, say: Speaker, engine: str = "auto"
) -> np.ndarray:
    """Logits of all images of a split, by the fastest engine that gives what Keras gives.

    Args:
        model: Images to logits.
        split: Images.
        prepare: The decoder.
        say: Tells a person which engine was taken.
        engine: Another that is wanted.
    """
    from tlkit.data.pipeline import batches
    from tlkit.evaluate.forward import make_fast_forward, predict_outputs

    first, _ = next(batches(split, prepare, EVALUATION_BATCH))
    forward = make_fast_forward(
        model, np.asarray(first), len(split), engine, lambda line: say.line(f"  {line}")
    )
    return predict_outputs(forward, split, prepare, EVALUATION_BATCH, say.progress("evaluating"))


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


def validation_metrics(task: Task, evaluation: dict[str, Any]) -> dict[str, float]:
    """Loss and metric of an evaluation on validation images, as logs name them."""
    names = ("loss", task.metric.name)
    return {f"val_{name}": evaluation[name] for name in names if name in evaluation}


def missed_requirements(
    recipe: Recipe,
    task: Task,
    evaluated: str,
    evaluation: dict[str, Any],
    validation: dict[str, Any],
) -> list[str]:
    """What of the recipe's `require` was not reached, a line each.

    Args:
        recipe: Of the run.
        task: What was learned.
        evaluated: Name of the split that was evaluated.
        evaluation: Its metrics.
        validation: Loss and metric of the last stage's best epoch.
    """
    if recipe.require is None:
        return []
    found = {**validation, **evaluation, **task.requirements(evaluation)}
    if evaluated == "val":
        found |= validation_metrics(task, evaluation)
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
