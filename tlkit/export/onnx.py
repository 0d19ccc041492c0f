"""ONNX, for onnxruntime and what else reads it."""

from __future__ import annotations

import math
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

    model = clone_with(model, _convertible)
    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    signature = [tf.TensorSpec((None, *size, 3), tf.float32, name="images")]
    model.export(
        str(target), format="onnx", verbose=False, input_signature=signature,
        opset_version=opset,
    )  # fmt: skip
    return target


def _convertible(layer: Any) -> Any:
    """The same layer in operations that the converter knows; None where it knows them.

    `Normalization` holds mean and variance outside of the graph, where they would become inputs. GELU
    is x/2 erfc(-x/sqrt(2)) in TensorFlow, and ONNX has no erfc; it equals x/2 (1 + erf(x/sqrt(2))).
    """
    import keras

    if isinstance(layer, keras.layers.Normalization) and not layer.invert:
        given = (np.asarray(value, "float64").ravel() for value in (layer.mean, layer.variance))
        mean, variance = given
        scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
        return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
    if getattr(layer, "activation", None) is keras.activations.gelu:
        new = type(layer).from_config(layer.get_config())
        new.activation = lambda x: 0.5 * x * (1 + keras.ops.erf(x * math.sqrt(0.5)))
        return new
    return None
