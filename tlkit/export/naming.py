"""What inputs, outputs and facts are called in the files of every format."""

from __future__ import annotations

import json
from typing import Any

IMAGE, BATCH = "image", "batch"


def with_names(model: Any, size: tuple[int, int]) -> tuple[Any, list[Any]]:
    """A model whose output converters call what its last layer is called, and the signature of its `image`."""
    import keras
    import tensorflow as tf

    named = keras.Model(model.inputs, {model.layers[-1].name: model.outputs[0]})
    return named, [tf.TensorSpec((None, *size, 3), tf.float32, name=IMAGE)]


def describe_file(
    classes: list[str], size: tuple[int, int], how: str, antialias: bool, card: dict[str, Any]
) -> dict[str, str]:
    """What a program must know that has the file alone: text, or JSON where it has parts.

    Args:
        classes: Names in the order of the outputs.
        size: Height and width in pixels.
        how: How images are brought to that size.
        antialias: Whether they are smoothed before.
        card: `name`, `backbone` and `licence` are told.
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
