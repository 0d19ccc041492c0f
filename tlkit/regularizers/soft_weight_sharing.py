"""Soft weight sharing: weights cluster around a few values."""

from __future__ import annotations

import math
from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import Share, number, whole, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("soft_weight_sharing", acts="joint")
@keras.saving.register_keras_serializable(package="tlkit")
class SoftWeightSharing(keras.regularizers.Regularizer):
    """Penalises weights by their negative log-likelihood under a learned mixture of Gaussians.

    -strength * sum_i log sum_j pi_j N(w_i; mu_j, sigma_j^2). Means, standard deviations
    and mixing proportions are learned with the weights. All weights that are to share a
    mixture use the same object. (Nowlan and Hinton 1992, "Simplifying Neural Networks by
    Soft Weight-Sharing", equation 2.) The mixture's `variables` must be given to the
    optimizer, as tlkit's own loop does; in a plain `fit` the mixture keeps its initial
    values.

    Args:
        components: Number of Gaussians.
        strength: Factor of the log-likelihood.
        spread: Range of the initial means, which are evenly spaced from -spread to spread;
            the initial standard deviation is the distance between them.
        least_deviation: Lower bound of the standard deviations; without it, a Gaussian on
            a single value has infinite likelihood.

    Raises:
        ValueError: if `components` is less than 1 or another value is out of range.
    """

    def __init__(
        self,
        *,
        components: Annotated[int, within(1, 100)] = 5,
        strength: Share = 1e-6,
        spread: Annotated[float, within(1e-3, 10)] = 0.2,
        least_deviation: Annotated[float, within(1e-5, 1)] = 1e-3,
    ):
        self.components = whole("components", components)
        self.strength = number("strength", strength, least=0)
        self.spread = number("spread", spread, above=0)
        self.least_deviation = number("least_deviation", least_deviation, above=0)
        means = np.linspace(-spread, spread, components) if components > 1 else np.zeros(1)
        width = 2 * spread / max(components - 1, 1)
        self.means = keras.Variable(means.astype("float32"), name="mixture_means")
        self.log_deviations = keras.Variable(
            np.full(components, math.log(width), "float32"), name="mixture_log_deviations"
        )
        self.logits = keras.Variable(np.zeros(components, "float32"), name="mixture_logits")

    @property
    def variables(self) -> list[Any]:
        """Variables that the optimizer must train along with the weights."""
        return [self.means, self.log_deviations, self.logits]

    def __call__(self, weight: Tensor) -> Tensor:
        ops = keras.ops
        values = ops.reshape(ops.cast(weight, "float32"), (-1, 1))
        deviations = ops.maximum(ops.exp(self.log_deviations), self.least_deviation)
        distances = (values - self.means) / deviations
        logs = ops.log_softmax(self.logits) - ops.log(deviations) - 0.5 * math.log(2 * math.pi)
        return -self.strength * ops.sum(ops.logsumexp(logs - 0.5 * distances**2, axis=-1))

    def get_config(self) -> dict[str, Any]:
        return {
            "components": self.components,
            "strength": self.strength,
            "spread": self.spread,
            "least_deviation": self.least_deviation,
        }
