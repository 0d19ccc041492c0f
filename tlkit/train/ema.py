"""An exponential moving average of the weights."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tlkit.tensors import KerasVariable


class WeightAverage:
    """Computes moving averages of variables, and swaps them into the model.

    After update t the average is `m a + (1 - m) w` with
    `m = min(momentum, (1 + t) / (10 + t))`, so that it follows closely at first.
    (Tarvainen and Valpola 2017, "Mean teachers"; the ramp is from TensorFlow's
    `ExponentialMovingAverage`.) BatchNorm's moving statistics are averaged too.

    Args:
        variables: Keras variables to average.
        momentum: Largest weight of the previous average, in (0, 1).
    """

    def __init__(self, variables: list[KerasVariable], momentum: float):
        self.variables = variables
        self.momentum = momentum
        self.averages = [tf.Variable(v.value, trainable=False) for v in variables]
        self.updates = tf.Variable(0.0, trainable=False)
        self._kept: list[np.ndarray] | None = None

    def update(self) -> None:
        """Updates the averages; called in the graph of the training step, after an update."""
        momentum = tf.minimum(self.momentum, (1.0 + self.updates) / (10.0 + self.updates))
        for average, variable in zip(self.averages, self.variables, strict=True):
            keep = tf.cast(momentum, average.dtype)
            average.assign(keep * average + (1 - keep) * variable.value)
        self.updates.assign_add(1.0)

    def lend(self) -> None:
        """Puts the averages into the model; `take_back` undoes it."""
        self._kept = [np.asarray(v) for v in self.variables]
        for average, variable in zip(self.averages, self.variables, strict=True):
            variable.assign(average)

    def take_back(self) -> None:
        """Puts the original weights back into the model."""
        assert self._kept is not None
        for value, variable in zip(self._kept, self.variables, strict=True):
            variable.assign(value)
        self._kept = None

    def arrays(self) -> list[np.ndarray]:
        """The whole state."""
        return [np.asarray(a) for a in self.averages] + [np.asarray(self.updates)]

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        """Restores what `arrays` returned."""
        for variable, value in zip([*self.averages, self.updates], arrays, strict=True):
            variable.assign(value)
