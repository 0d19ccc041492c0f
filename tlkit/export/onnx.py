"""ONNX, for onnxruntime and what else reads it."""

from __future__ import annotations

import pathlib
from typing import Any, Literal

from tlkit.registry import register


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

    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    signature = [tf.TensorSpec((None, *size, 3), tf.float32, name="images")]
    model.export(
        str(target), format="onnx", verbose=False, input_signature=signature,
        opset_version=opset,
    )  # fmt: skip
    return target
