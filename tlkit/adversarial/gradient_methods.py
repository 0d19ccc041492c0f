"""Perturbations along the gradient of the loss (TensorFlow only: Keras has no gradients)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import tensorflow as tf

from tlkit.limits import Levels, within
from tlkit.registry import register
from tlkit.tensors import Tensor


def _slope(loss_of: Callable[[Any], Any], values: Any) -> Tensor:
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = loss_of(values)
    return tape.gradient(loss, values)


def _unit(gradient: Tensor) -> Tensor:
    """Scales each image's gradient to length 1."""
    axes = list(range(1, len(gradient.shape)))
    length = tf.sqrt(tf.reduce_sum(tf.square(gradient), axes, keepdims=True))
    return gradient / tf.maximum(length, 1e-12)


@register("fgsm")
def fgsm(loss_of: Callable[[Any], Any], values: Any, *, epsilon: Levels = 2.0) -> Any:
    """Fast gradient sign method: x' = x + epsilon sign(dL/dx).

    (Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples",
    section 4.)

    Args:
        loss_of: Function from such values to their loss, a number; for a flooded loss, the
            loss that it wraps.
        values: Images or features `(batch, ...)`.
        epsilon: Step size; for images in levels of 0 to 255.

    Returns:
        The perturbed values.
    """
    return values + epsilon * tf.sign(_slope(loss_of, values))


@register("fgm")
def fgm(
    loss_of: Callable[[Any], Any],
    values: Any,
    *,
    epsilon: Annotated[float, within(1e-3, 10_000)] = 1.0,
) -> Any:
    """Fast gradient method: x' = x + epsilon g / ||g||, where g = dL/dx of each image.

    (Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text
    Classification", equation 7.)

    Args:
        loss_of: Function from such values to their loss, a number; for a flooded loss, the
            loss that it wraps.
        values: Images or features `(batch, ...)`.
        epsilon: Length of the step.

    Returns:
        The perturbed values.
    """
    return values + epsilon * _unit(_slope(loss_of, values))


@register("pgd")
def pgd(
    loss_of: Callable[[Any], Any],
    values: Any,
    *,
    epsilon: Levels = 2.0,
    step: Levels = 1.0,
    steps: Annotated[int, within(1, 100)] = 3,
) -> Any:
    """Projected gradient descent: several steps of sign(dL/dx), kept within +- epsilon.

    x_(t+1) = clip(x_t + step sign(dL/dx_t), x - epsilon, x + epsilon), starting at x.
    (Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", section 2.1; without the random start.)

    Args:
        loss_of: Function from such values to their loss, a number; for a flooded loss, the
            loss that it wraps.
        values: Images or features `(batch, ...)`.
        epsilon: Largest change of a value.
        step: Step size of each iteration.
        steps: Number of iterations; each costs one forward and one backward pass.

    Returns:
        The perturbed values.
    """
    moved = values
    for _ in range(steps):
        moved = moved + step * tf.sign(_slope(loss_of, moved))
        moved = tf.clip_by_value(moved, values - epsilon, values + epsilon)
    return moved
