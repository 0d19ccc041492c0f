"""Leaky ReLU with a random slope."""

from __future__ import annotations

from typing import Any

import keras

from tlkit.limits import Share, lower_to_upper, number
from tlkit.registry import register
from tlkit.tensors import KerasLayer, Tensor


@register("randomized_leaky_relu", rule="lower_to_upper")
@keras.saving.register_keras_serializable(package="tlkit")
class RandomizedLeakyReLU(keras.layers.Layer):
    """Leaky ReLU whose slope is random during training.

    y = x where x >= 0, else a x, with a drawn from U(lower, upper) for each
    value; at inference a = (lower + upper) / 2. (Xu et al. 2015, "Empirical
    Evaluation of Rectified Activations", section 2.4.)

    Args:
        lower: Smallest slope.
        upper: Largest slope.
        seed: Seed of the slopes.

    Input and output: `(batch, ...)` float.

    Raises:
        ValueError: unless 0 <= lower <= upper.
    """

    def __init__(
        self,
        *,
        lower: Share = 0.125,
        upper: Share = 0.3333333333333333,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.lower, self.upper = number("lower", lower, least=0), number("upper", upper, least=0)
        lower_to_upper(lower, upper)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        slope = (self.lower + self.upper) / 2
        if training:
            slope = keras.random.uniform(
                keras.ops.shape(inputs), self.lower, self.upper, seed=self.seed_generator
            )
            slope = keras.ops.cast(slope, inputs.dtype)
        return keras.ops.where(inputs >= 0, inputs, inputs * slope)

    def plain(self) -> KerasLayer:
        """The Keras layer that computes the same at inference."""
        return keras.layers.LeakyReLU((self.lower + self.upper) / 2, name=self.name)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"lower": self.lower, "upper": self.upper, "seed": self.seed}
        return {**super().get_config(), **own}
