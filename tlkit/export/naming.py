"""Names of inputs, outputs and metadata in the files of every format."""

from __future__ import annotations

import json
from typing import Any

from tlkit.tensors import KerasModel

IMAGE, BATCH = "image", "batch"


def with_names(model: KerasModel, size: tuple[int, int]) -> tuple[Any, list[Any]]:
    """Returns a model with its output named after the last layer, and its input signature."""
    import keras
    import tensorflow as tf

    named = keras.Model(model.inputs, {model.layers[-1].name: model.outputs[0]})
    return named, [tf.TensorSpec((None, *size, 3), tf.float32, name=IMAGE)]


def describe_file(
    classes: list[str], size: tuple[int, int], how: str, antialias: bool, card: dict[str, Any]
) -> dict[str, str]:
    """Metadata for a program that has only the file: text, or JSON for structured values.

    Args:
        classes: Class names in the order of the outputs.
        size: Height and width in pixels.
        how: Method by which images are resized to that size.
        antialias: Whether images are low-pass filtered before shrinking.
        card: Model card; its `name`, `backbone` and `licence` are included.
    """
    return {
        "name": str(card["name"]),
        "labels": json.dumps(classes),
        "resize": json.dumps({"size": list(size), "how": how, "antialias": antialias}),
        "range": json.dumps([0, 255]),
        "order": "RGB",
        "layout": "NHWC",
        "backbone": str(card["backbone"]),
        "licence": str(card["licence"]),
    }
