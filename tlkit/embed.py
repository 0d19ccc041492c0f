"""Images as the feature vectors of a pretrained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.data.dataset import Dataset, Split
from tlkit.features.compute import Made, frozen_features
from tlkit.features.cut import whole
from tlkit.out_of_memory import out_of_memory_is_told

NOTHING = Split([], np.empty(0, np.int32), [])


@out_of_memory_is_told()
def embed(
    name: str,
    weights: str,
    dataset: Dataset,
    split: Split,
    engine: str = "auto",
    progress: Any = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[np.ndarray, Made, Any] | None:
    """One pass of a backbone over a split, kept on disk for the next that asks.

    Args:
        name: Of the backbone.
        weights: `auto`, `imagenet`, `bundled`, `none` or a file.
        dataset: Whose decoder and image size are used.
        split: Images.
        engine: What computes.
        progress: Makes a function `(done, total)` that shows how far the pass is.
        say: Is told which engine was taken, and why not another.

    Returns:
        Features `(images, features)`, how they came about, and the backbone; None where they
        fit neither on disk nor in memory.

    Raises:
        UserError: if the weights cannot be had, or memory runs out.
    """
    import keras

    from tlkit.backbones.load import load_backbone
    from tlkit.model import preprocess
    from tlkit.surgery import as_depthwise

    backbone, spec = load_backbone(name, weights, dataset.image_size)
    backbone = as_depthwise(backbone)
    image = keras.Input((*dataset.image_size, 3))
    features = backbone(preprocess(image, spec))
    if len(features.shape) == 4:
        features = keras.layers.GlobalAveragePooling2D()(features)
    alone = dataclasses.replace(dataset, splits={"train": split, "val": NOTHING})
    cut = whole(keras.Model(image, features))
    found = frozen_features(cut, alone, "auto", progress, engine, say, about=name)
    if found is None:
        return None
    computed, made = found
    return np.asarray(computed.train.pixels[0], "float64"), made, backbone
