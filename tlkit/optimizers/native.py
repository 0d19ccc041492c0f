"""The Keras optimizers by name, with the arguments that are commonly set."""

from __future__ import annotations

from typing import Annotated

import keras

from tlkit.limits import Epsilon, LearningRate, Momentum, Strength, within
from tlkit.registry import register
from tlkit.tensors import KerasOptimizer


@register("adam", native="keras.optimizers.Adam")
def adam(
    *,
    learning_rate: LearningRate = 1e-3,
    beta_1: Momentum = 0.9,
    beta_2: Momentum = 0.999,
    epsilon: Epsilon = 1e-7,
    amsgrad: bool = False,
) -> KerasOptimizer:
    """Adam (Kingma and Ba 2015)."""
    return keras.optimizers.Adam(learning_rate, beta_1, beta_2, epsilon, amsgrad)


@register("adamw", native="keras.optimizers.AdamW")
def adamw(
    *,
    learning_rate: LearningRate = 1e-3,
    weight_decay: Strength = 0.01,
    beta_1: Momentum = 0.9,
    beta_2: Momentum = 0.999,
    epsilon: Epsilon = 1e-7,
) -> KerasOptimizer:
    """Adam with decoupled weight decay, not for biases and norms (Loshchilov and Hutter 2019)."""
    return keras.optimizers.AdamW(learning_rate, weight_decay, beta_1, beta_2, epsilon)


@register("sgd", native="keras.optimizers.SGD")
def sgd(
    *,
    learning_rate: LearningRate = 0.01,
    momentum: Momentum = 0.9,
    nesterov: bool = True,
    weight_decay: Strength = 0.0,
) -> KerasOptimizer:
    """Stochastic gradient descent with (Nesterov) momentum."""
    return keras.optimizers.SGD(
        learning_rate,
        momentum,
        nesterov=nesterov and momentum > 0,
        weight_decay=weight_decay or None,
    )


@register("rmsprop", native="keras.optimizers.RMSprop")
def rmsprop(
    *,
    learning_rate: LearningRate = 1e-3,
    rho: Momentum = 0.9,
    momentum: Momentum = 0.0,
    epsilon: Epsilon = 1e-7,
) -> KerasOptimizer:
    """RMSprop (Hinton 2012)."""
    return keras.optimizers.RMSprop(learning_rate, rho, momentum, epsilon)


@register("nadam", native="keras.optimizers.Nadam")
def nadam(
    *, learning_rate: LearningRate = 1e-3, beta_1: Momentum = 0.9, beta_2: Momentum = 0.999
) -> KerasOptimizer:
    """Adam with Nesterov momentum (Dozat 2016)."""
    return keras.optimizers.Nadam(learning_rate, beta_1, beta_2)


@register("adagrad", native="keras.optimizers.Adagrad")
def adagrad(*, learning_rate: LearningRate = 1e-2, epsilon: Epsilon = 1e-7) -> KerasOptimizer:
    """Adagrad (Duchi et al. 2011)."""
    return keras.optimizers.Adagrad(learning_rate, epsilon=epsilon)


@register("lion", native="keras.optimizers.Lion")
def lion(
    *,
    learning_rate: LearningRate = 1e-4,
    beta_1: Annotated[float, within(0.01, 0.9999)] = 0.9,
    beta_2: Momentum = 0.99,
    weight_decay: Strength = 0.0,
) -> KerasOptimizer:
    """Lion, which updates by the sign of the momentum (Chen et al. 2023)."""
    return keras.optimizers.Lion(learning_rate, beta_1, beta_2, weight_decay=weight_decay or None)


@register("lamb", native="keras.optimizers.Lamb")
def lamb(
    *, learning_rate: LearningRate = 1e-3, beta_1: Momentum = 0.9, beta_2: Momentum = 0.999
) -> KerasOptimizer:
    """LAMB: Adam scaled to each layer's weights, for large batches (You et al. 2020)."""
    return keras.optimizers.Lamb(learning_rate, beta_1, beta_2)


@register("adadelta", native="keras.optimizers.Adadelta")
def adadelta(
    *, learning_rate: LearningRate = 1.0, rho: Momentum = 0.95, epsilon: Epsilon = 1e-6
) -> KerasOptimizer:
    """Adadelta (Zeiler 2012); its original learning rate is 1."""
    return keras.optimizers.Adadelta(learning_rate, rho, epsilon)


@register("muon", native="keras.optimizers.Muon")
def muon(
    *,
    learning_rate: LearningRate = 1e-3,
    momentum: Momentum = 0.95,
    weight_decay: Strength = 0.0,
) -> KerasOptimizer:
    """Muon: orthogonalised momentum for matrices, Adam for all other variables (Jordan 2024)."""
    decay = weight_decay or None
    return keras.optimizers.Muon(
        learning_rate, momentum=momentum, weight_decay=decay, adam_weight_decay=decay
    )
