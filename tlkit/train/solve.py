"""Solving for the optimal head instead of training it for epochs."""

from __future__ import annotations

import numpy as np

from tlkit.data.dataset import Split
from tlkit.errors import RunFailed
from tlkit.features.lbfgs import FOLDS, Solution, best_l2, choose_l2, solve_head
from tlkit.recipe.schema import Stage
from tlkit.train.context import RunContext


def solve(context: RunContext, train: Split, stage: Stage) -> tuple[dict[str, float], Solution]:
    """Sets the head, a dense layer, to its optimum for given features.

    Args:
        context: Context shared by all stages.
        train: Features in place of images.
        stage: Stage, for its `l2`.

    Returns:
        Loss and metric on the training images, and the solution.

    Raises:
        RunFailed: if the features are missing because they do not fit in memory.
    """
    if not isinstance(train.pixels, list) or train.pixels[0].ndim != 2:
        raise RunFailed("solver lbfgs needs the features of all images, on disk or in memory")
    (layer,), task = context.network.head, context.network.task
    features, labels = np.asarray(train.pixels[0]), train.labels
    known, link = np.asarray(task.targets(labels)), task.link
    shares = np.asarray(task.image_weights(known, context.weights))
    smoothing = context.loss.arguments.get("label_smoothing", 0.0)
    targets = link.smoothed(known.astype("float64"), smoothing)
    if stage.l2 == "auto":
        folds = task.folds(labels, FOLDS, context.seed)
        l2 = best_l2(choose_l2(features, known, targets, folds, shares, link=link))
    else:
        l2 = stage.l2
    solution = solve_head(features, targets, l2, shares, link=link)
    layer.kernel.assign(solution.kernel)
    layer.bias.assign(solution.bias)
    measured = task.measure(features @ solution.kernel + solution.bias, labels)
    return {**measured, "loss": solution.loss}, solution
