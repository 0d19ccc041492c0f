"""Losses that Keras has, on logits."""

from __future__ import annotations

from typing import Any

from tlkit.limits import Fraction
from tlkit.registry import register


@register("cross_entropy", native="keras.losses.CategoricalCrossentropy")
def cross_entropy(*, label_smoothing: Fraction = 0.0) -> Any:
    """Cross-entropy, -sum_k y_k log p_k, with label smoothing if wanted.

    With smoothing s the target is (1 - s) y + s / K. (Szegedy et al. 2016,
    "Rethinking the Inception Architecture", section 7.)

    Args:
        label_smoothing: Share of the target spread over all classes.
    """
    import keras

    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


@register("hinge", native="keras.losses.CategoricalHinge", soft_labels=False)
def hinge() -> Any:
    """max(0, 1 + max_(k not y) z_k - z_y), the loss of a support vector machine.

    Needs whole labels: it has no meaning for MixUp and CutMix.
    """
    import keras

    return keras.losses.CategoricalHinge()
