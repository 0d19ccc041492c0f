"""Regularisers and constraints that Keras provides."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import Strength, within
from tlkit.registry import register


@register("l1", native="keras.regularizers.L1")
def l1(*, strength: Strength = 1e-5) -> Any:
    """Adds strength * sum |w| to the loss, which drives weights to exactly zero."""
    return keras.regularizers.L1(strength)


@register("l2", native="keras.regularizers.L2")
def l2(*, strength: Strength = 1e-4) -> Any:
    """Adds strength / 2 * sum w^2 to the loss, so that the gradient is strength * w."""
    return keras.regularizers.L2(strength / 2)


@register("elastic_net", native="keras.regularizers.L1L2")
def elastic_net(*, l1: Strength = 1e-5, l2: Strength = 1e-4) -> Any:
    """Adds l1 * sum |w| + l2 / 2 * sum w^2 to the loss (Zou and Hastie 2005)."""
    return keras.regularizers.L1L2(l1, l2 / 2)


@register("max_norm", native="keras.constraints.MaxNorm", acts="constraint")
def max_norm(unit_axes: Any, *, value: Annotated[float, within(1e-3, 1e3)] = 3.0) -> Any:
    """Scales a unit's weights back to norm `value` after each step that makes their norm larger.

    A unit is an output feature or channel. (Srebro and Shraibman 2005; Hinton
    et al. 2012.)
    """
    return keras.constraints.MaxNorm(value, axis=unit_axes)
