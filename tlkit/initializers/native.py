"""Initializers that Keras provides."""

from __future__ import annotations

from typing import Annotated, Any

import keras

from tlkit.limits import within
from tlkit.registry import register


@register("zeros", native="keras.initializers.Zeros")
def zeros() -> Any:
    """All zeros: suitable for a last layer; a hidden layer of zeros never learns."""
    return keras.initializers.Zeros()


@register("gaussian", native="keras.initializers.RandomNormal")
def gaussian(*, stddev: Annotated[float, within(1e-6, 10)] = 0.01) -> Any:
    """Normal distribution with standard deviation 0.01 (Krizhevsky et al. 2012)."""
    return keras.initializers.RandomNormal(stddev=stddev)


@register("xavier", native="keras.initializers.GlorotUniform")
def xavier() -> Any:
    """Uniform distribution in +- sqrt(6 / (in + out)) (Glorot and Bengio 2010, equation 16)."""
    return keras.initializers.GlorotUniform()


@register("he", native="keras.initializers.HeNormal")
def he() -> Any:
    """Normal distribution with variance 2 / in, also called MSRA (He et al. 2015, equation 10)."""
    return keras.initializers.HeNormal()


@register("orthogonal", native="keras.initializers.Orthogonal")
def orthogonal() -> Any:
    """Matrix with orthogonal rows or columns (Saxe et al. 2014)."""
    return keras.initializers.Orthogonal()
