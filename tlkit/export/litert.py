"""LiteRT (TensorFlow Lite), for phones and small devices."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tlkit.export.litert_metadata import add_metadata
from tlkit.export.naming import with_names
from tlkit.registry import register
from tlkit.tensors import KerasModel


@register(
    "litert", runtime="litert", takes="float32", extra="litert", needs="ai_edge_litert",
)  # fmt: skip
def litert(
    model: KerasModel,
    classes: list[str],
    size: tuple[int, int],
    folder: pathlib.Path,
    images: Callable[[], np.ndarray],
    card: dict[str, Any],
    *,
    precision: Literal["float32", "float16", "dynamic-int8", "int8"] = "float32",
) -> pathlib.Path:
    """Writes `litert/model.tflite`, or `litert-PRECISION/`, including metadata and labels.

    The model takes `image`, float32 pixels `(batch, height, width, 3)` in [0, 255] at its own input
    size, or uint8 pixels if it is int8 throughout; it returns float32 `probabilities`. Scaling is
    part of the model. Metadata in the file describe this for code generation tools, and
    `labels.txt` can be extracted from the file as from a zip archive.

    Args:
        model: Model from RGB in [0, 255] to probabilities.
        classes: Class names in the order of the outputs.
        size: Height and width of the model's input, in pixels.
        folder: Folder of all exports.
        images: Function that returns the training images (uint8) that set the ranges of int8.
        card: Model card; its name and licence are written into the file.
        precision: Number format: float32; float16 weights; int8 weights with float computation; or
            int8 throughout.

    Returns:
        Path of the file.
    """
    name = "litert" if precision == "float32" else f"litert-{precision}"
    target = folder / name / "model.tflite"
    target.parent.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    more: dict[str, Any] = {}
    if precision != "float32":
        more["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        settings["supported_types"] = [tf.float16]
    if precision == "int8":
        settings["supported_ops"] = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        given = images().astype("float32")
        more["representative_dataset"] = lambda: ([image[None]] for image in given)
        more["inference_input_type"] = tf.uint8
    named, signature = with_names(model, size)
    named.export(
        str(target), format="litert", verbose=False, input_signature=signature,
        target_spec=settings, **more,
    )  # fmt: skip
    add_metadata(target, card, classes, size, model.layers[-1].name)
    return target
