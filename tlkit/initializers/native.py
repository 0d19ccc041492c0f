"""Initial values that Keras has."""

from __future__ import annotations

from typing import Annotated, Any

from tlkit.limits import within
from tlkit.registry import register


@register("zeros", native="keras.initializers.Zeros")
def zeros() -> Any:
    """All zero: right for a last layer; a hidden layer of zeros never learns."""
    import keras

    return keras.initializers.Zeros()


@register("gaussian", native="keras.initializers.RandomNormal")
def gaussian(*, stddev: Annotated[float, within(1e-6, 10)] = 0.01) -> Any:
    """Normal with deviation 0.01 (Krizhevsky et al. 2012)."""
    import keras

    return keras.initializers.RandomNormal(stddev=stddev)


@register("xavier", native="keras.initializers.GlorotUniform")
def xavier() -> Any:
    """Uniform in +- sqrt(6 / (in + out)) (Glorot and Bengio 2010, equation 16)."""
    import keras

    return keras.initializers.GlorotUniform()


@register("he", native="keras.initializers.HeNormal")
def he() -> Any:
    """Normal with variance 2 / in, also called MSRA (He et al. 2015, equation 10)."""
    import keras

    return keras.initializers.HeNormal()


@register("orthogonal", native="keras.initializers.Orthogonal")
def orthogonal() -> Any:
    """Orthogonal rows or columns (Saxe et al. 2014)."""
    import keras

    return keras.initializers.Orthogonal()
