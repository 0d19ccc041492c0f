"""ONNX, for onnxruntime and other software that reads it."""

from __future__ import annotations

import math
import pathlib
from typing import Any, Literal

import keras
import numpy as np

from tlkit.export.naming import BATCH, with_names
from tlkit.registry import register
from tlkit.surgery.clone import clone_with
from tlkit.tensors import KerasLayer, KerasModel


@register(
    "onnx", runtime="onnxruntime", takes="float32", extra="onnx", needs="tf2onnx onnx onnxruntime"
)
def onnx(
    model: KerasModel,
    size: tuple[int, int],
    folder: pathlib.Path,
    metadata: dict[str, str],
    *,
    opset: Literal[15, 16, 17, 18] = 18,
) -> pathlib.Path:
    """Writes `onnx/model.onnx`, using Keras's own export.

    The model takes `image`, float32 pixels `(batch, height, width, 3)` in [0, 255] at its own input
    size, and returns `probabilities` `(batch, classes)`. Labels, resizing, range and licence are in
    `metadata_props`.

    Args:
        model: Model from RGB in [0, 255] to probabilities.
        size: Height and width of the model's input, in pixels.
        folder: Folder of all exports.
        metadata: Metadata of the file; see `tlkit.export.naming.describe_file`.
        opset: Version of the ONNX operator set, 15 to 18, which tf2onnx can write.

    Returns:
        Path of the file.
    """
    named, signature = with_names(clone_with(model, _convertible), size)
    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    named.export(
        str(target), format="onnx", verbose=False, input_signature=signature,
        opset_version=opset,
    )  # fmt: skip
    _describe(target, metadata)
    return target


def _describe(target: pathlib.Path, metadata: dict[str, str]) -> None:
    """Names the batch dimension, and writes the metadata into the file."""
    import onnx

    written = onnx.load(target)
    for tensor in (*written.graph.input, *written.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    written.graph.name = metadata["name"]
    written.doc_string = "An image classifier."
    onnx.helper.set_model_props(written, metadata)
    onnx.save(written, target)


def _convertible(layer: KerasLayer) -> Any:
    """Rewrites a layer in operations that the converter knows; None if it knows the layer.

    `Normalization` keeps mean and variance outside of the graph, so they would become inputs. GELU
    is x/2 erfc(-x/sqrt(2)) in TensorFlow, and ONNX has no erfc; it equals x/2 (1 + erf(x/sqrt(2))).
    """
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
