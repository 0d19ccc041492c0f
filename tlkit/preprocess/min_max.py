"""Min-max scaling by the range of the training images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("min_max", leaves="pixels")
@keras.saving.register_keras_serializable(package="tlkit")
class MinMax(keras.layers.Layer):
    """Stretches each channel from its range in the training images to [0, 255], and clips.

    y = 255 (x - low) / (high - low). With `tail` above 0, a fraction `tail` of the
    pixels lies below low and the same fraction above high, so that single dead or
    hot pixels do not set the range.

    Args:
        tail: Fraction of the pixels cut off at each end, in [0, 0.5).

    Input and output: `(batch, height, width, channels)` in [0, 255].

    Raises:
        ValueError: if `tail` is outside [0, 0.5).
    """

    def __init__(self, *, tail: Annotated[float, within(0, 0.49)] = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.tail = number("tail", tail, least=0, below=0.5)

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1],)
        self.low = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(255.0),
            trainable=False,
            name="high",
        )

    def adapt(self, batches: Iterable[Any]) -> None:
        """Fits the range to batches of training images `(batch, height, width, channels)`."""
        counts: np.ndarray | None = None
        for batch in batches:
            # pixels are whole numbers, or nearly: a histogram holds the whole split
            levels = np.clip(np.rint(np.asarray(batch, "float64")), 0, 255).astype(int)
            channels = levels.shape[-1]
            found = np.stack(
                [np.bincount(levels[..., c].ravel(), minlength=256) for c in range(channels)]
            )
            counts = found if counts is None else counts + found
        if counts is None:
            raise ValueError("there are no images to fit the range to")
        shares = np.cumsum(counts, axis=1) / counts.sum(1, keepdims=True)
        low = (shares > self.tail).argmax(1)
        high = (shares >= 1 - self.tail).argmax(1)
        if not self.built:
            self.build((None, None, None, len(counts)))
        self.low.assign(low)
        # a channel of one value keeps its scale
        self.high.assign(np.where(high > low, high, low + 255))

    def call(self, inputs: Tensor) -> Tensor:
        low, high = (keras.ops.cast(v, inputs.dtype) for v in (self.low, self.high))
        return keras.ops.clip(255.0 * (inputs - low) / (high - low), 0.0, 255.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "tail": self.tail}
