"""The model built for the data."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset
from tlkit.recipe.schema import Norm, Recipe
from tlkit.steps.speaker import Speaker
from tlkit.tasks.find import make_task


def make_network(recipe: Recipe, dataset: Dataset, say: Speaker, calibrate: bool = True) -> Any:
    """Builds the model; with the original top, labels are matched to its class names.

    Args:
        recipe: Completed.
        dataset: Images.
        say: Tells a person.
        calibrate: Whether new normalisation is set on training images, which may take minutes.
    """
    from tlkit.data.pipeline import some_images, training_images
    from tlkit.model import build_network, fit_preprocessing

    if recipe.model.head.name == "original":
        _use_original_classes(dataset, say)
    if recipe.preprocess:
        names = ", ".join(item.name for item in recipe.preprocess)
        say.line(f"fitting to the training images: {names}")

    fitted = fit_preprocessing(recipe.preprocess, training_images(dataset))
    if calibrate and isinstance(recipe.model.norm, Norm) and recipe.model.norm.swap:
        say.line("calibrating the new normalisation layers on training images ...")
    sample = functools.partial(some_images, dataset, recipe.seed) if calibrate else None
    network = build_network(
        recipe.model, dataset.task, dataset.image_size, fitted, sample, len(dataset.train)
    )
    say.line(
        f"{network.spec.name}: {network.model.count_params():,} parameters, "
        f"{len(network.blocks)} blocks"
    )
    if network.norm:
        say.line(f"norm: {network.norm}")
    return network


def _use_original_classes(dataset: Dataset, say: Speaker) -> None:
    """Renames the data's labels to ImageNet's classes, as far as they are the same."""
    from tlkit.backbones.imagenet import imagenet_classes, match_class

    names = imagenet_classes()
    own = {index: match_class(label) for index, label in enumerate(dataset.classes)}
    matched = [f"{dataset.classes[i]} = {names[j]}" for i, j in own.items() if j is not None]
    say.line(f"classes found in ImageNet: {', '.join(matched) or 'none'}")
    for split in dataset.splits.values():
        split.labels = np.array(
            [-1 if (k := own[int(label)]) is None else k for label in split.labels], np.int32
        )
    dataset.task = make_task(dataset.task.name, names)
