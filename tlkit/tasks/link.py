"""How a linear head's logits become answers, with the loss and gradient for solving it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Link:
    """A canonical link of a generalised linear model, and the matching loss.

    Attributes:
        name: Name of the function from logits to the mean.
        loss: Function of logits and targets, both `(n, outputs)`; returns each output's part
            of each image's loss, `(n, outputs)`.
        slope: Derivative of the loss by the logits, `(n, outputs)`.
        smoothed: Smoothed targets, as with the loss's `label_smoothing`.
    """

    name: str
    loss: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray, np.ndarray], np.ndarray]
    smoothed: Callable[[np.ndarray, float], np.ndarray]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


# cross-entropy; targets sum to one, so the derivative of the log-sum is the probability itself
SOFTMAX = Link(
    "softmax",
    lambda logits, targets: -targets * _log_softmax(logits),
    lambda logits, targets: np.exp(_log_softmax(logits)) - targets,
    lambda targets, share: targets * (1 - share) + share / targets.shape[1],
)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


# binary cross-entropy, averaged over the outputs as in keras.losses.BinaryCrossentropy
SIGMOID = Link(
    "sigmoid",
    lambda logits, targets: (np.logaddexp(0, logits) - targets * logits) / targets.shape[1],
    lambda logits, targets: (_sigmoid(logits) - targets) / targets.shape[1],
    lambda targets, share: targets * (1 - share) + share / 2,
)

# squared error, averaged over the outputs as in keras.losses.MeanSquaredError
IDENTITY = Link(
    "identity",
    lambda logits, targets: np.square(logits - targets) / targets.shape[1],
    lambda logits, targets: 2 * (logits - targets) / targets.shape[1],
    lambda targets, share: targets,
)
