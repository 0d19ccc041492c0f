"""PCA and ZCA whitening of small images, or of colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np

from tlkit.limits import Epsilon, number, one_of
from tlkit.registry import register
from tlkit.tensors import Tensor

# the covariance of a 48 x 48 RGB image: 191 MB
LARGEST = 48 * 48 * 3


@register("whiten", leaves="scaled")
@keras.saving.register_keras_serializable(package="tlkit")
class Whitening(keras.layers.Layer):
    """Decorrelates the training images: their covariance becomes the identity.

    With the covariance C = U diag(lambda) U^T of the values in [0, 1], PCA
    whitening is y = diag(lambda + epsilon)^(-1/2) U^T (x - mean). ZCA rotates the
    result back: y = U diag(lambda + epsilon)^(-1/2) U^T (x - mean), the whitened
    image nearest to x. With `over: image`, x is the whole image, at most 48 x 48
    pixels; with `over: color`, x is each pixel. (Bell and Sejnowski 1997; Krizhevsky
    2009, appendix A.)
    In a recipe it replaces the backbone's own scaling.

    Args:
        method: Whitening method, `zca` or `pca`.
        over: What is whitened, `color` or `image`.
        epsilon: Constant added to the eigenvalues, so that noise is not amplified.

    Input and output: `(batch, height, width, channels)` in [0, 255].

    Raises:
        ValueError: if the images are too large, or an argument is unknown.
    """

    def __init__(
        self,
        *,
        method: Literal["zca", "pca"] = "zca",
        over: Literal["color", "image"] = "color",
        epsilon: Epsilon = 1e-5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.method = one_of("method", method, ("zca", "pca"))
        self.over = one_of("over", over, ("color", "image"))
        self.epsilon = number("epsilon", epsilon, above=0)

    def _length(self, shape: Any) -> int:
        """Number of values that are whitened together."""
        if self.over == "color":
            return int(shape[-1])
        if None in shape[1:] or np.prod(shape[1:]) > LARGEST:
            raise ValueError(
                f"whitening over the image takes at most {LARGEST} values an image, got shape "
                f"{tuple(shape)}; use over: color, or smaller images"
            )
        return int(np.prod(shape[1:]))

    def build(self, input_shape: Any) -> None:
        n = self._length(input_shape)
        self.center = self.add_weight(
            shape=(n,), initializer="zeros", trainable=False, name="center"
        )
        self.matrix = self.add_weight(
            shape=(n, n), initializer="identity", trainable=False, name="matrix"
        )

    def adapt(self, batches: Iterable[Any]) -> None:
        """Fits mean and covariance to batches of training images."""
        count, total, products = 0, np.zeros(1), np.zeros((1, 1))
        for batch in batches:
            images = np.asarray(batch, "float64") / 255.0
            if not self.built:
                self.build((None, *images.shape[1:]))
            rows = images.reshape(-1, self._length((None, *images.shape[1:])))
            count, total = count + len(rows), total + rows.sum(0)
            products = products + rows.T @ rows
        mean = total / count
        values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
        scaled = vectors / np.sqrt(np.maximum(values, 0) + self.epsilon)
        self.center.assign(mean)
        self.matrix.assign(scaled @ vectors.T if self.method == "zca" else scaled)

    def call(self, inputs: Tensor) -> Tensor:
        n = self._length(inputs.shape)
        rows = keras.ops.reshape(inputs, (-1, n)) / 255.0
        white = keras.ops.matmul(rows - self.center, self.matrix)
        return keras.ops.reshape(white, (-1, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"method": self.method, "over": self.over, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
