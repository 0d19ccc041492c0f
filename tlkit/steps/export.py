"""Exporting the trained network."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING, Any

from tlkit.recipe.schema import Recipe

if TYPE_CHECKING:
    from tlkit.export.parity import Parity
    from tlkit.steps.evaluate import Evaluation
    from tlkit.train.context import RunContext


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """A model in one format.

    Attributes:
        name: Name of the format, and of its folder.
        path: Path of the model: a file, or the folder of a SavedModel.
        parity: Proof that its outputs match the evaluated ones.
    """

    name: str
    path: pathlib.Path
    parity: Parity

    def as_json(self, folder: pathlib.Path) -> dict[str, Any]:
        """The values for result.json, with the path relative to the run folder."""
        return {"path": str(self.path.relative_to(folder)), "parity": self.parity.as_json()}


def export(context: RunContext, evaluation: Evaluation) -> list[ExportResult]:
    """Writes every wanted format, and verifies that its outputs match the evaluated ones.

    Args:
        context: Context of the run.
        evaluation: Evaluation of the network as it is served.
    """
    from tlkit.data.pipeline import some_images
    from tlkit.export.served import Proof, ServedModel
    from tlkit.export.write import CALIBRATION, describe, write_export

    recipe, dataset, network = context.recipe, context.dataset, evaluation.network
    answers = network.task.answers(evaluation.logits)
    served = ServedModel(
        network.model,
        Proof(network.task, dataset.splits[evaluation.split], dataset.prepare, answers),
        dataset.image_size,
        recipe.data.resize,
        recipe.data.antialias,
        functools.partial(some_images, dataset, recipe.seed, CALIBRATION),
        model_card(
            recipe,
            network.spec.licence,
            dataset.counts()["train"],
            network.task.precise_summary(evaluation.metrics, evaluation.split),
        ),
    )
    results = []
    for item in recipe.export:
        context.reporter.line(f"exporting {item.name} ...")
        name, place, parity = write_export(
            item, served, context.folder / "export", recipe.max_metric_drop
        )
        context.reporter.detail(describe(name, parity))
        results.append(ExportResult(name, place, parity))
    return results


def model_card(
    recipe: Recipe, licence: str, counts: dict[str, int], evaluated: str
) -> dict[str, Any]:
    """Contents of a model card that the exporter does not know; `evaluated` is a sentence."""
    weights = "none: from random ones" if recipe.model.weights == "none" else licence
    return {
        "name": recipe.name,
        "backbone": recipe.model.backbone,
        "licence": weights,
        "counts": counts,
        "evaluated": evaluated,
    }
