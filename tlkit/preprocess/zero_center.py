"""Zero-centring by the mean of the training images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np

from tlkit.limits import one_of
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("zero_center", leaves="centred")
@keras.saving.register_keras_serializable(package="tlkit")
class ZeroCenter(keras.layers.Layer):
    """Subtracts the mean of each channel over the training images, or the mean image.

    y = x - mean. In a recipe this replaces the backbone's own mean; its scale is kept.
    (Mean image: Krizhevsky et al. 2012; channel means: Simonyan and Zisserman 2015.)

    Args:
        mean: Mean to subtract, `channel` or `image`.

    Input and output: `(batch, height, width, channels)` float.

    Raises:
        ValueError: if `mean` is not one of these.
    """

    def __init__(self, *, mean: Literal["channel", "image"] = "channel", **kwargs: Any):
        super().__init__(**kwargs)
        self.mean = one_of("mean", mean, ("channel", "image"))

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[1:]) if self.mean == "image" else (input_shape[-1],)
        self.center = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="center"
        )

    def adapt(self, batches: Iterable[Any]) -> None:
        """Fits the mean to batches of training images `(batch, height, width, channels)`."""
        count, total = 0, 0.0
        for batch in batches:
            images = np.asarray(batch, "float64")
            count, total = count + len(images), total + images.sum(0)
        mean = np.asarray(total) / count
        if not self.built:
            self.build((None, *mean.shape))
        self.center.assign(mean if self.mean == "image" else mean.mean((0, 1)))

    def call(self, inputs: Tensor) -> Tensor:
        return inputs - keras.ops.cast(self.center, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean}
