"""Activations that Keras provides."""

from __future__ import annotations

import keras

from tlkit.registry import register
from tlkit.tensors import KerasLayer


@register("relu", native="keras.layers.ReLU")
def relu() -> KerasLayer:
    """max(x, 0) (Nair and Hinton 2010)."""
    return keras.layers.ReLU()


@register("leaky_relu", native="keras.layers.LeakyReLU")
def leaky_relu() -> KerasLayer:
    """x where x > 0, else 0.3 x (Maas et al. 2013)."""
    return keras.layers.LeakyReLU(0.3)


@register("prelu", native="keras.layers.PReLU")
def prelu() -> KerasLayer:
    """x where x > 0, else a x with learned a (He et al. 2015)."""
    return keras.layers.PReLU()


@register("elu", native="keras.layers.ELU")
def elu() -> KerasLayer:
    """x where x > 0, else exp(x) - 1 (Clevert et al. 2016)."""
    return keras.layers.ELU()


@register("selu", native="keras.activations.selu")
def selu() -> KerasLayer:
    """1.0507 x where x > 0, else 1.0507 times 1.6733 (exp(x) - 1) (Klambauer et al. 2017)."""
    return keras.layers.Activation("selu")


@register("softmax", native="keras.layers.Softmax")
def softmax() -> KerasLayer:
    """exp(x_i) / sum_j exp(x_j) over the channels."""
    return keras.layers.Softmax()


@register("tanh", native="keras.activations.tanh")
def tanh() -> KerasLayer:
    """Hyperbolic tangent."""
    return keras.layers.Activation("tanh")


@register("sigmoid", native="keras.activations.sigmoid")
def sigmoid() -> KerasLayer:
    """1 / (1 + exp(-x))."""
    return keras.layers.Activation("sigmoid")


@register("softplus", native="keras.activations.softplus")
def softplus() -> KerasLayer:
    """log(1 + exp(x)), a smooth ReLU."""
    return keras.layers.Activation("softplus")


@register("silu", native="keras.activations.silu")
def silu() -> KerasLayer:
    """x sigmoid(x), also called swish (Elfwing et al. 2018)."""
    return keras.layers.Activation("silu")


@register("gelu", native="keras.activations.gelu")
def gelu() -> KerasLayer:
    """x Phi(x), where Phi is the normal distribution function (Hendrycks and Gimpel 2016)."""
    return keras.layers.Activation("gelu")


@register("mish", native="keras.activations.mish")
def mish() -> KerasLayer:
    """x tanh(softplus(x)) (Misra 2020)."""
    return keras.layers.Activation("mish")


@register("hard_silu", native="keras.activations.hard_silu")
def hard_silu() -> KerasLayer:
    """x clip(x / 6 + 1/2, 0, 1) (Howard et al. 2019)."""
    return keras.layers.Activation("hard_silu")
