"""BatchNorm's moving statistics taken anew from given images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from tlkit.surgery.clone import clone_with


def recalibrate_batch_norm(model: Any, batches: Callable[[], Iterable[Any]]) -> Any:
    """A copy of a model whose BatchNorm statistics are those of given images.

    The exact mean and variance over all images and places, not an exponential
    average; layer by layer from the input on, so that each sees what the layers
    before it give with their new statistics. (Li et al. 2016, "Revisiting Batch
    Normalization For Practical Domain Adaptation", algorithm 1.) It takes as many
    passes, of growing depth, as there are BatchNorm layers.

    Args:
        model: A functional Keras model.
        batches: Gives the images anew at each call, in batches as the model takes them.

    Raises:
        ValueError: if there are no images, or no BatchNorm layer.
    """
    copy = clone_with(model, lambda layer: None)
    norms = [x for x in copy.layers if isinstance(x, keras.layers.BatchNormalization)]
    nested = [x.name for x in copy.layers if isinstance(x, keras.Model) and _has_norm(x)]
    if nested:
        raise ValueError(f"BatchNorm inside the nested model {nested[0]!r}: recalibrate that one")
    if not norms:
        raise ValueError(f"{model.name!r} has no BatchNorm layer")
    for norm in norms:
        reach = keras.Model(copy.input, norm.input)
        count, total, squares = 0, 0.0, 0.0
        center: Any = None
        for images in batches():
            values = np.asarray(reach(images, training=False), "float64")
            rows = np.moveaxis(values, norm.axis, -1).reshape(-1, values.shape[norm.axis])
            # squares of distances from a first guess: large means cancel nothing
            center = rows.mean(0) if center is None else center
            count, total = count + len(rows), total + (rows - center).sum(0)
            squares = squares + ((rows - center) ** 2).sum(0)
        if not count:
            raise ValueError("there are no images to take the statistics from")
        shift = total / count
        norm.moving_mean.assign(center + shift)
        norm.moving_variance.assign(squares / count - shift**2)
    return copy


def _has_norm(model: Any) -> bool:
    return any(
        _has_norm(x) if isinstance(x, keras.Model) else isinstance(x, keras.layers.BatchNormalization)
        for x in model.layers
    )  # fmt: skip
