"""The exports."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.data.record import SplitName
from tlkit.recipe.schema import Recipe
from tlkit.steps.speaker import Speaker


def export(
    recipe: Recipe,
    dataset: Dataset,
    network: Any,
    evaluated: SplitName,
    logits: np.ndarray,
    evaluation: dict[str, Any],
    folder: pathlib.Path,
    say: Speaker,
) -> dict[str, Any]:
    """Writes every wanted format and proves that it answers as evaluated."""
    from tlkit.data.pipeline import some_images
    from tlkit.evaluate.metrics import softmax
    from tlkit.export.write import CALIBRATION, Served, describe, write_export

    served = Served(
        network.model,
        network.classes,
        dataset.image_size,
        recipe.data.resize,
        recipe.data.antialias,
        dataset.prepare,
        dataset.splits[evaluated],
        softmax(logits),
        functools.partial(some_images, dataset, recipe.seed, CALIBRATION),
        model_card(recipe, network.spec.licence, dataset.counts()["train"], evaluated, evaluation),
    )
    results: dict[str, Any] = {}
    for item in recipe.export:
        say.line(f"exporting {item.name} ...")
        name, place, parity = write_export(
            item, served, folder / "export", recipe.max_accuracy_drop
        )
        say.line(f"  {describe(name, parity)}")
        results[name] = {
            "path": str(place.relative_to(folder)),
            "parity": dataclasses.asdict(parity),
        }
    return results


def model_card(
    recipe: Recipe, licence: str, counts: dict[str, int], evaluated: str, evaluation: dict[str, Any]
) -> dict[str, Any]:
    """What a model card says beside what the export knows."""
    words = "on no known labels"
    if "accuracy" in evaluation:
        low, high = evaluation["intervals"]["accuracy"]
        words = (
            f"accuracy {evaluation['accuracy']:.4f} on {evaluation['images']} images of {evaluated}, "
            f"95 % between {low:.3f} and {high:.3f}"
        )
    weights = "none: from random ones" if recipe.model.weights == "none" else licence
    return {
        "name": recipe.name,
        "backbone": recipe.model.backbone,
        "licence": weights,
        "counts": counts,
        "accuracy": words,
    }
