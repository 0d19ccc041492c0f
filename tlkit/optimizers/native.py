"""The optimizers of Keras, by name, with the arguments that people set."""

from __future__ import annotations

from typing import Annotated, Any

from tlkit.limits import Epsilon, LearningRate, Momentum, Strength, within
from tlkit.registry import register


@register("adam", native="keras.optimizers.Adam")
def adam(
    *,
    learning_rate: LearningRate = 1e-3,
    beta_1: Momentum = 0.9,
    beta_2: Momentum = 0.999,
    epsilon: Epsilon = 1e-7,
    amsgrad: bool = False,
) -> Any:
    """Adam (Kingma and Ba 2015)."""
    import keras

    return keras.optimizers.Adam(learning_rate, beta_1, beta_2, epsilon, amsgrad)


@register("adamw", native="keras.optimizers.AdamW")
def adamw(
    *,
    learning_rate: LearningRate = 1e-3,
    weight_decay: Strength = 0.01,
    beta_1: Momentum = 0.9,
    beta_2: Momentum = 0.999,
    epsilon: Epsilon = 1e-7,
) -> Any:
    """Adam with decoupled weight decay, not on biases and norms (Loshchilov and Hutter 2019)."""
    import keras

    return keras.optimizers.AdamW(learning_rate, weight_decay, beta_1, beta_2, epsilon)


@register("sgd", native="keras.optimizers.SGD")
def sgd(
    *,
    learning_rate: LearningRate = 0.01,
    momentum: Momentum = 0.9,
    nesterov: bool = True,
    weight_decay: Strength = 0.0,
) -> Any:
    """Stochastic gradient descent with (Nesterov) momentum."""
    import keras

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
) -> Any:
    """RMSprop (Hinton 2012)."""
    import keras

    return keras.optimizers.RMSprop(learning_rate, rho, momentum, epsilon)


@register("nadam", native="keras.optimizers.Nadam")
def nadam(
    *, learning_rate: LearningRate = 1e-3, beta_1: Momentum = 0.9, beta_2: Momentum = 0.999
) -> Any:
    """Adam with Nesterov momentum (Dozat 2016)."""
    import keras

    return keras.optimizers.Nadam(learning_rate, beta_1, beta_2)


@register("adagrad", native="keras.optimizers.Adagrad")
def adagrad(*, learning_rate: LearningRate = 1e-2, epsilon: Epsilon = 1e-7) -> Any:
    """Adagrad (Duchi et al. 2011)."""
    import keras

    return keras.optimizers.Adagrad(learning_rate, epsilon=epsilon)


@register("lion", native="keras.optimizers.Lion")
def lion(
    *,
    learning_rate: LearningRate = 1e-4,
    beta_1: Annotated[float, within(0.01, 0.9999)] = 0.9,
    beta_2: Momentum = 0.99,
    weight_decay: Strength = 0.0,
) -> Any:
    """Lion, the sign of a momentum (Chen et al. 2023)."""
    import keras

    return keras.optimizers.Lion(learning_rate, beta_1, beta_2, weight_decay=weight_decay or None)


@register("lamb", native="keras.optimizers.Lamb")
def lamb(
    *, learning_rate: LearningRate = 1e-3, beta_1: Momentum = 0.9, beta_2: Momentum = 0.999
) -> Any:
    """LAMB, Adam scaled to each layer's weights, for large batches (You et al. 2020)."""
    import keras

    return keras.optimizers.Lamb(learning_rate, beta_1, beta_2)


@register("adadelta", native="keras.optimizers.Adadelta")
def adadelta(
    *, learning_rate: LearningRate = 1.0, rho: Momentum = 0.95, epsilon: Epsilon = 1e-6
) -> Any:
    """Adadelta (Zeiler 2012), whose own learning rate is 1."""
    import keras

    return keras.optimizers.Adadelta(learning_rate, rho, epsilon)


@register("muon", native="keras.optimizers.Muon")
def muon(
    *,
    learning_rate: LearningRate = 1e-3,
    momentum: Momentum = 0.95,
    weight_decay: Strength = 0.0,
) -> Any:
    """Muon, orthogonalised momentum for matrices, Adam for the rest (Jordan 2024)."""
    import keras

    decay = weight_decay or None
    return keras.optimizers.Muon(
        learning_rate, momentum=momentum, weight_decay=decay, adam_weight_decay=decay
    )
