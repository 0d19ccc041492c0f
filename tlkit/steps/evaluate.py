"""Figures of the trained network, and what they must reach."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset, Split
from tlkit.data.record import SplitName
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker

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
    from tlkit.evaluate.metrics import softmax

    name: SplitName = "test" if "test" in dataset.splits else "val"
    split = dataset.splits[name]
    say.line(f"\nevaluating on {len(split)} images of {name} ...")
    if name == "val" and val_logits is not None:
        logits = val_logits
    else:
        logits = logits_of(network.logits, split, dataset.prepare, say)
    figures = save_evaluation(logits, split, network.classes, folder)
    save_examples(
        network.logits,
        split,
        dataset.prepare,
        softmax(logits),
        network.classes,
        folder / "examples",
    )
    network.model.save(folder / "model.keras")
    return name, logits, figures


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
    logits: np.ndarray, split: Split, classes: list[str], folder: pathlib.Path
) -> dict[str, Any]:
    """Writes predictions.csv and the plots of an evaluation; returns its figures."""
    from tlkit.evaluate.metrics import evaluate, softmax
    from tlkit.evaluate.predictions import write_predictions
    from tlkit.report import plots

    probabilities = softmax(logits)
    names = [record.name for record in split.records]
    labels = [record.label for record in split.records]
    write_predictions(folder / "predictions.csv", names, labels, probabilities, classes)
    figures = evaluate(probabilities, split.labels, classes)
    (folder / "plots").mkdir(exist_ok=True)
    if "confusion" in figures:
        plots.plot_confusion(
            np.array(figures["confusion"]), classes, folder / "plots" / "confusion_matrix.png"
        )
        plots.plot_calibration(figures["calibration"], folder / "plots" / "calibration.png")
        plots.plot_classes(figures["per_class"], folder / "plots" / "classes.png")
    return figures


def missed_requirements(
    recipe: Recipe, evaluated: str, evaluation: dict[str, Any], validation: dict[str, Any]
) -> list[str]:
    """What of the recipe's `require` was not reached, a line each.

    Args:
        recipe: Of the run.
        evaluated: Name of the split that was evaluated.
        evaluation: Its figures.
        validation: `val_accuracy` and `val_loss` of the last stage.
    """
    if recipe.require is None:
        return []
    recalls = [
        row["recall"] for row in evaluation.get("per_class", ()) if row["recall"] is not None
    ]
    found = {**validation, **evaluation, "worst_recall": min(recalls, default=None)}
    if evaluated == "val" and "accuracy" in evaluation:
        found |= {f"val_{key}": evaluation[key] for key in ("accuracy", "loss")}
    missed = []
    for key, wanted in recipe.require.model_dump(exclude_none=True).items():
        value = found.get(key)
        most = key.endswith("loss")
        if value is None or (value > wanted if most else value < wanted):
            shown = "not known" if value is None else f"{value:.4f}"
            missed.append(
                f"{key} is {shown}; require: {'at most' if most else 'at least'} {wanted:g}"
            )
    return missed
