"""Keras callbacks, for tlkit's own loop and for plain `model.fit`."""

from tlkit.callbacks.halve_on_plateau import HalveOnPlateau
from tlkit.callbacks.schedule import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    NaturalExponentialDecay,
    OneCycle,
    PiecewiseDecay,
    PolynomialDecay,
    ScheduledRate,
    StepDecay,
)

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "HalveOnPlateau",
    "InverseTimeDecay",
    "NaturalExponentialDecay",
    "OneCycle",
    "PiecewiseDecay",
    "PolynomialDecay",
    "ScheduledRate",
    "StepDecay",
]
