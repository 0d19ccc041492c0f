"""The model as a TensorFlow graph of constants."""

from __future__ import annotations

from tlkit.features.compiled_model import CompiledModel
from tlkit.features.engines.keras import as_arrays, in_parts, trace_constants
from tlkit.registry import register
from tlkit.surgery.fold_batch_norm import folded_in_place
from tlkit.tensors import KerasModel

# images at once: as fast as more of them, with less memory
BATCH = 8


@register("tensorflow", rank=3, least_cosine=0.9999, precisions="float32")
def tensorflow(model: KerasModel) -> CompiledModel:
    """TensorFlow with BatchNorm folded and variables replaced by constants.

    With constant kernels, the runtime fuses convolution, bias and activation into one
    operation. It would fold BatchNorm too, but not into depthwise convolutions.
    """
    with folded_in_place(model) as kernels:
        forward = trace_constants(model, kernels)
    return CompiledModel(in_parts(as_arrays(forward), BATCH))
