"""Binary cross-entropy of each class."""

from __future__ import annotations

from typing import Any

from tlkit.limits import Fraction
from tlkit.registry import register


@register(
    "binary_cross_entropy",
    native="keras.losses.BinaryCrossentropy",
    tasks="multi-label",
    solved=True,
)
def binary_cross_entropy(*, label_smoothing: Fraction = 0.0) -> Any:
    """Whether an image has each class: -y log p - (1 - y) log(1 - p), the mean of the classes.

    With smoothing s the target is (1 - s) y + s / 2.

    Args:
        label_smoothing: s, in [0, 1).

    Labels: 0 or 1 for each class, or shares, `(batch, K)`. Predictions: logits `(batch, K)`.
    """
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
