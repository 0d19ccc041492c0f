"""OpenVINO's IR, for Intel's and other processors."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Literal

import numpy as np

from tlkit.export.naming import with_names
from tlkit.registry import register
from tlkit.tensors import KerasModel


@register(
    "openvino", runtime="openvino", takes="float32", extra="openvino", needs="openvino",
)  # fmt: skip
def openvino(
    model: KerasModel,
    size: tuple[int, int],
    folder: pathlib.Path,
    images: Callable[[], np.ndarray],
    metadata: dict[str, str],
    *,
    precision: Literal["float32", "float16", "int8"] = "float32",
) -> pathlib.Path:
    """Writes `openvino/model.xml` and `.bin`, or `openvino-PRECISION/`, for any batch size.

    The model takes `image`, float32 pixels `(batch, height, width, 3)` in [0, 255] at its own input
    size, and returns `probabilities`. For int8, NNCF quantises it on training images. Labels,
    resizing, range and licence are in `rt_info`, under `tlkit`.

    Args:
        model: Model from RGB in [0, 255] to probabilities.
        size: Height and width of the model's input, in pixels.
        folder: Folder of all exports.
        images: Function that returns the training images (uint8) that set the ranges of int8.
        metadata: Metadata of the file; see `tlkit.export.naming.describe_file`.
        precision: Precision of the weights: float32, float16, or int8 with int8 computation.

    Returns:
        Path of the .xml file.
    """
    from tlkit.features.engines.openvino import core, runtime

    ov = runtime()

    name = "openvino" if precision == "float32" else f"openvino-{precision}"
    target = folder / name / "model.xml"
    target.parent.mkdir(parents=True, exist_ok=True)
    named, signature = with_names(model, size)
    named.export(str(target), format="openvino", verbose=False, input_signature=signature)
    read = core().read_model(target)
    target.unlink()
    target.with_suffix(".bin").unlink()
    if precision == "int8":
        import nncf

        given = [image[None].astype("float32") for image in images()]
        read = nncf.quantize(read, nncf.Dataset(given), subset_size=len(given))
    for key, value in metadata.items():
        read.set_rt_info(value, ["tlkit", key])
    ov.save_model(read, target, compress_to_fp16=precision == "float16")
    return target
