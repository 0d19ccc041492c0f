"""Feature vectors of images from a pretrained network."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from tlkit.data.dataset import Dataset, Split
from tlkit.features.compute import FeatureStats, frozen_features
from tlkit.features.split_network import whole
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.reporter import SILENT, Reporter

NOTHING = Split([], np.empty(0, np.int32), [])


@out_of_memory_is_told()
def embed(
    name: str,
    weights: str,
    dataset: Dataset,
    split: Split,
    *,
    engine: str = "auto",
    reporter: Reporter = SILENT,
) -> tuple[np.ndarray, FeatureStats, Any] | None:
    """Features of a split from one pass of a backbone, cached on disk.

    Args:
        name: Backbone name.
        weights: `auto`, `imagenet`, `bundled`, `none` or a file.
        dataset: Data set whose decoder and image size are used.
        split: Images.
        engine: Inference backend.
        reporter: Reports which engine was chosen, why not another, and the progress.

    Returns:
        Features `(images, features)`, how they were computed, and the backbone; None if they
        fit neither on disk nor in memory.

    Raises:
        UserError: if the weights are unavailable, or memory runs out.
    """
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
    found = frozen_features(cut, alone, "auto", engine=engine, reporter=reporter, about=name)
    if found is None:
        return None
    computed, made = found
    return np.asarray(computed.train.pixels[0], "float64"), made, backbone
