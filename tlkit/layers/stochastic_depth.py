"""Stochastic depth: drops a residual branch for whole images."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.layers.drop_connect import check_rate
from tlkit.limits import Fraction
from tlkit.registry import register
from tlkit.tensors import KerasLayer, Tensor


def linear_rates(rate: float, count: int) -> list[float]:
    """Drop rate of each of `count` branches, counted from the input: rate * l / count.

    (Huang et al. 2016, "Deep Networks with Stochastic Depth", equation 4.)
    """
    return [rate * (index + 1) / count for index in range(count)]


@register("stochastic_depth", where="every residual branch of the backbone")
@keras.saving.register_keras_serializable(package="tlkit")
class StochasticDepth(keras.layers.Layer):
    """Drops a residual branch for whole images during training.

    y_i = b_i x_i / (1 - rate), where b_i is 1 with probability 1 - rate, else 0, drawn
    once per image. At inference y = x. Apply it to the branch, before the branch is added
    to the skip connection. In a recipe, `rate` is that of the last branch; the others
    follow the linear rule, rate * l / L. (Huang et al. 2016, "Deep Networks with
    Stochastic Depth", equations 2 and 4; scaled during training instead of at
    inference.)

    Args:
        rate: Probability of dropping an image's branch, in [0, 1).
        seed: Seed of the random draws.

    Input and output: `(batch, ...)` float.

    Raises:
        ValueError: if `rate` is outside [0, 1).
    """

    def __init__(self, *, rate: Fraction = 0.1, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check_rate(rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or not self.rate:
            return inputs
        shape = (keras.ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        keep = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        return inputs * keras.ops.cast(keep, inputs.dtype) / (1.0 - self.rate)

    def plain(self) -> KerasLayer:
        """The Keras layer that computes the same at inference."""
        return keras.layers.Identity(name=self.name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
