"""Activations that Keras has."""

from __future__ import annotations

from typing import Any

from tlkit.registry import register


@register("relu", native="keras.layers.ReLU")
def relu() -> Any:
    """max(x, 0) (Nair and Hinton 2010)."""
    import keras

    return keras.layers.ReLU()


@register("leaky_relu", native="keras.layers.LeakyReLU")
def leaky_relu() -> Any:
    """x where x > 0, else 0.3 x (Maas et al. 2013)."""
    import keras

    return keras.layers.LeakyReLU(0.3)


@register("prelu", native="keras.layers.PReLU")
def prelu() -> Any:
    """x where x > 0, else a x with a learned (He et al. 2015)."""
    import keras

    return keras.layers.PReLU()


@register("elu", native="keras.layers.ELU")
def elu() -> Any:
    """x where x > 0, else exp(x) - 1 (Clevert et al. 2016)."""
    import keras

    return keras.layers.ELU()


@register("selu", native="keras.activations.selu")
def selu() -> Any:
    """1.0507 times x, or 1.6733 (exp(x) - 1) below 0 (Klambauer et al. 2017)."""
    import keras

    return keras.layers.Activation("selu")


@register("softmax", native="keras.layers.Softmax")
def softmax() -> Any:
    """exp(x_i) / sum_j exp(x_j) over the channels."""
    import keras

    return keras.layers.Softmax()


@register("tanh", native="keras.activations.tanh")
def tanh() -> Any:
    """Hyperbolic tangent."""
    import keras

    return keras.layers.Activation("tanh")


@register("sigmoid", native="keras.activations.sigmoid")
def sigmoid() -> Any:
    """1 / (1 + exp(-x))."""
    import keras

    return keras.layers.Activation("sigmoid")


@register("softplus", native="keras.activations.softplus")
def softplus() -> Any:
    """log(1 + exp(x)), a smooth ReLU."""
    import keras

    return keras.layers.Activation("softplus")


@register("silu", native="keras.activations.silu")
def silu() -> Any:
    """x sigmoid(x), also called swish (Elfwing et al. 2018)."""
    import keras

    return keras.layers.Activation("silu")


@register("gelu", native="keras.activations.gelu")
def gelu() -> Any:
    """x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016)."""
    import keras

    return keras.layers.Activation("gelu")


@register("mish", native="keras.activations.mish")
def mish() -> Any:
    """x tanh(softplus(x)) (Misra 2020)."""
    import keras

    return keras.layers.Activation("mish")


@register("hard_silu", native="keras.activations.hard_silu")
def hard_silu() -> Any:
    """x clip(x / 6 + 1/2, 0, 1) (Howard et al. 2019)."""
    import keras

    return keras.layers.Activation("hard_silu")
