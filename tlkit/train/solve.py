"""An epoch's work done at once: the head solved to its optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlkit.data.dataset import Split
from tlkit.errors import RunFailed
from tlkit.features.lbfgs import FOLDS, Solution, best_l2, choose_l2, solve_head
from tlkit.recipe.schema import Stage
from tlkit.tasks.base import Task


def solve(
    task: Task,
    layer: Any,
    train: Split,
    stage: Stage,
    smoothing: float,
    weights: np.ndarray,
    seed: int,
) -> tuple[dict[str, float], Solution]:
    """Sets a dense layer to the optimum for given features.

    Args:
        task: What is learned.
        layer: From features to logits.
        train: Features in the place of images.
        stage: Its `l2`.
        smoothing: Of the labels.
        weights: As `Task.weights` gives them.
        seed: Of the folds by which a strength is chosen.

    Returns:
        Loss and metric on the training images, and the solution.

    Raises:
        RunFailed: if the features are not there, as they do not fit in memory.
    """
    if not isinstance(train.pixels, list) or train.pixels[0].ndim != 2:
        raise RunFailed("solver lbfgs needs the features of all images, on disk or in memory")
    features, labels = np.asarray(train.pixels[0]), train.labels
    known, link = np.asarray(task.targets(labels)), task.link
    shares = np.asarray(task.image_weights(known, weights))
    targets = link.smoothed(known.astype("float64"), smoothing)
    if stage.l2 == "auto":
        folds = task.folds(labels, FOLDS, seed)
        l2 = best_l2(choose_l2(features, known, targets, folds, shares, link=link))
    else:
        l2 = stage.l2
    solution = solve_head(features, targets, l2, shares, link=link)
    layer.kernel.assign(solution.kernel)
    layer.bias.assign(solution.bias)
    measured = task.measure(features @ solution.kernel + solution.bias, labels)
    return {**measured, "loss": solution.loss}, solution
