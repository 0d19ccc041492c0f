"""Categorical cross-entropy on class ids and logits."""

from __future__ import annotations

from typing import Any

from tlkit.registry import Fraction, register


@register("cross_entropy")
def cross_entropy(classes: int, *, label_smoothing: Fraction = 0.0) -> Any:
    """Cross-entropy, with label smoothing if wanted.

    With smoothing s the target is `(1 - s) onehot + s / classes`. (Szegedy et
    al. 2016, "Rethinking the Inception Architecture", section 7.)

    Args:
        classes: Number of classes.
        label_smoothing: Share of the target spread over all classes.

    Returns:
        A function (class ids `[n]`, logits `[n, classes]`) -> losses `[n]`.
    """
    import keras

    def loss(labels: Any, logits: Any) -> Any:
        target = keras.ops.one_hot(labels, classes)
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
        return keras.losses.categorical_crossentropy(target, logits, from_logits=True)

    return loss
