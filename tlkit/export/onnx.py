"""ONNX, for onnxruntime and what else reads it."""

from __future__ import annotations

import pathlib
from typing import Any, Literal

import numpy as np

from tlkit.registry import register
from tlkit.surgery.clone import clone_with


@register(
    "onnx", runtime="onnxruntime", takes="float32", extra="onnx", needs="tf2onnx onnx onnxruntime"
)
def onnx(
    model: Any, size: tuple[int, int], folder: pathlib.Path, *, opset: Literal[15, 16, 17, 18] = 18
) -> Any:
    """Writes `onnx/model.onnx` with a free batch, by Keras's own export.

    Takes float32 pixels `(batch, height, width, 3)` in [0, 255] of the model's own size; gives
    probabilities.

    Args:
        model: RGB in [0, 255] to probabilities.
        size: Height and width that the model takes, in pixels.
        folder: Where exports go.
        opset: ONNX's version of its operators, 15 to 18, what tf2onnx can write.

    Returns:
        The file.
    """
    import tensorflow as tf

    model = clone_with(model, _rescaling)
    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    signature = [tf.TensorSpec((None, *size, 3), tf.float32, name="images")]
    model.export(
        str(target), format="onnx", verbose=False, input_signature=signature,
        opset_version=opset,
    )  # fmt: skip
    return target


def _rescaling(layer: Any) -> Any:
    """What `Normalization` does with its mean and variance as constants of the graph.

    The layer holds them outside of it, from where the converter would make them inputs.
    """
    import keras

    if not isinstance(layer, keras.layers.Normalization) or layer.invert:
        return None
    mean, variance = (
        np.asarray(value, "float64").ravel() for value in (layer.mean, layer.variance)
    )
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
