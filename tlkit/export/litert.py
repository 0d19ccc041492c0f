"""LiteRT (TensorFlow Lite), for phones and small machines."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tlkit.export.litert_metadata import add_metadata
from tlkit.export.naming import with_names
from tlkit.registry import register


@register(
    "litert", runtime="litert", takes="float32", extra="litert", needs="ai_edge_litert",
)  # fmt: skip
def litert(
    model: Any,
    classes: list[str],
    size: tuple[int, int],
    folder: pathlib.Path,
    images: Callable[[], np.ndarray],
    card: dict[str, Any],
    *,
    precision: Literal["float32", "float16", "dynamic-int8", "int8"] = "float32",
) -> pathlib.Path:
    """Writes `litert/model.tflite`, or `litert-PRECISION/`, with metadata and labels in it.

    Takes `image`, float32 pixels `(batch, height, width, 3)` in [0, 255] of the model's own size, and
    uint8 ones where it is int8 throughout; gives float32 `probabilities`. Scaling is in the model.
    Metadata in the file say so to the tools that make code from it, and `labels.txt` can be unpacked
    from it as from a zip.

    Args:
        model: RGB in [0, 255] to probabilities.
        classes: Names in the order of the outputs.
        size: Height and width that the model takes, in pixels.
        folder: Where exports go.
        images: Gives the training images that set the ranges of int8, uint8.
        card: Name and licence are written into the file.
        precision: float32; float16 weights; int8 weights with float work; or int8 throughout.

    Returns:
        The file.
    """
    import tensorflow as tf

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
    add_metadata(target, card["name"], card["licence"], classes, size, model.layers[-1].name)
    return target
