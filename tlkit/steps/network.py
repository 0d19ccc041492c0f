"""Building the model for the data."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.recipe.schema import Norm, Recipe
from tlkit.reporter import Reporter
from tlkit.tasks.find import make_task

if TYPE_CHECKING:
    from tlkit.model import Network


def make_network(
    recipe: Recipe, dataset: Dataset, reporter: Reporter, calibrate: bool = True
) -> Network:
    """Builds the model; with the original top, labels are matched to its class names.

    Args:
        recipe: Recipe, with its defaults filled in.
        dataset: Dataset.
        reporter: Reports to the user.
        calibrate: Whether to fit new normalisation layers to training images, which may take
            minutes.
    """
    from tlkit.data.pipeline import some_images, training_images
    from tlkit.model import build_network, fit_preprocessing

    if recipe.model.head.name == "original":
        _use_original_classes(dataset, reporter)
    if recipe.preprocess:
        names = ", ".join(item.name for item in recipe.preprocess)
        reporter.line(f"fitting to the training images: {names}")

    fitted = fit_preprocessing(recipe.preprocess, training_images(dataset))
    if calibrate and isinstance(recipe.model.norm, Norm) and recipe.model.norm.swap:
        reporter.line("calibrating the new normalisation layers on training images ...")
    sample = functools.partial(some_images, dataset, recipe.seed) if calibrate else None
    network = build_network(
        recipe.model,
        dataset.task,
        dataset.image_size,
        fitted,
        sample=sample,
        train_count=len(dataset.train),
    )
    reporter.line(
        f"{network.spec.name}: {network.model.count_params():,} parameters, "
        f"{len(network.blocks)} blocks"
    )
    if network.norm:
        reporter.line(f"norm: {network.norm}")
    return network


def _use_original_classes(dataset: Dataset, reporter: Reporter) -> None:
    """Renames the data's labels to ImageNet's class names where they match."""
    from tlkit.backbones.imagenet import imagenet_classes, match_class

    names = imagenet_classes()
    own = {index: match_class(label) for index, label in enumerate(dataset.classes)}
    matched = [f"{dataset.classes[i]} = {names[j]}" for i, j in own.items() if j is not None]
    reporter.line(f"classes found in ImageNet: {', '.join(matched) or 'none'}")
    for split in dataset.splits.values():
        split.labels = np.array(
            [-1 if (k := own[int(label)]) is None else k for label in split.labels], np.int32
        )
    dataset.task = make_task(dataset.task.name, names)
