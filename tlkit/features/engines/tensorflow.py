"""The model as a TensorFlow graph of constants."""

from __future__ import annotations

from typing import Any

from tlkit.features.engines.keras import as_arrays, in_parts, trace_constants
from tlkit.registry import register
from tlkit.surgery.fold_batch_norm import folded_in_place

# images at once: as fast as more of them, in less memory
BATCH = 8


@register("tensorflow", rank=3, least_cosine=0.9999, precisions="float32")
def tensorflow(model: Any) -> Any:
    """TensorFlow with BatchNorm folded and variables made constants.

    With kernels that are known, the runtime joins convolution, bias and activation into one
    operation. It would fold BatchNorm too, but not into depthwise convolutions.
    """
    with folded_in_place(model) as kernels:
        forward = trace_constants(model, kernels)
    return in_parts(as_arrays(forward), BATCH)
