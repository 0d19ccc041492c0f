"""The exports."""

from __future__ import annotations

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
    from tlkit.export.write import CALIBRATION, Served, describe, write_export

    served = Served(
        network.model,
        network.task,
        dataset.image_size,
        recipe.data.resize,
        recipe.data.antialias,
        dataset.prepare,
        dataset.splits[evaluated],
        network.task.answers(logits),
        functools.partial(some_images, dataset, recipe.seed, CALIBRATION),
        model_card(
            recipe,
            network.spec.licence,
            dataset.counts()["train"],
            network.task.precise_summary(evaluation, evaluated),
        ),
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
            "parity": parity.as_json(),
        }
    return results


def model_card(
    recipe: Recipe, licence: str, counts: dict[str, int], evaluated: str
) -> dict[str, Any]:
    """What a model card says beside what the export knows; `evaluated` is a sentence."""
    weights = "none: from random ones" if recipe.model.weights == "none" else licence
    return {
        "name": recipe.name,
        "backbone": recipe.model.backbone,
        "licence": weights,
        "counts": counts,
        "evaluated": evaluated,
    }
