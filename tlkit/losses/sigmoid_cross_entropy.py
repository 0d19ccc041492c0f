"""Binary cross-entropy for each class."""

from __future__ import annotations

import keras

from tlkit.limits import Fraction
from tlkit.registry import register
from tlkit.tensors import Tensor


@register(
    "binary_cross_entropy",
    native="keras.losses.BinaryCrossentropy",
    tasks="multi-label",
    solved=True,
)
def binary_cross_entropy(*, label_smoothing: Fraction = 0.0) -> Tensor:
    """Binary cross-entropy, -y log p - (1 - y) log(1 - p), averaged over the classes.

    With smoothing s the target is (1 - s) y + s / 2.

    Args:
        label_smoothing: s, in [0, 1).

    Labels: 0 or 1 for each class, or fractions, `(batch, K)`. Predictions: logits `(batch, K)`.
    """
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
