"""PCA colour augmentation, "fancy PCA"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import keras
import numpy as np

from tlkit.limits import number, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("pca_color", fitted=True)
@keras.saving.register_keras_serializable(package="tlkit")
class PCAColor(keras.layers.Layer):
    """Shifts each image's colour along the principal axes of the training pixels.

    Adds 255 sum_i p_i a_i lambda_i to every pixel. p_i and lambda_i are the
    eigenvectors and eigenvalues of the covariance of the training images' RGB values
    in [0, 1]; the a_i are drawn from N(0, strength^2), three per image. The result is
    clipped to [0, 255]. (Krizhevsky et al. 2012, "ImageNet Classification with Deep
    Convolutional Neural Networks", section 4.1: strength 0.1.)

    Call `adapt` before use.

    Args:
        seed: Random seed.
        strength: Standard deviation of the a_i, 0 or more.

    Input and output: RGB in [0, 255] `(batch, height, width, 3)`; unchanged at inference.

    Raises:
        ValueError: if `strength` is negative.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        strength: Annotated[float, within(0, 10)] = 0.1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.seed, self.strength = seed, number("strength", strength, least=0)
        self.generator = keras.random.SeedGenerator(seed)
        # rows are lambda_i p_i; not a number until adapted
        self.axes = self.add_weight(
            shape=(3, 3),
            initializer=keras.initializers.Constant(np.nan),
            trainable=False,
            name="axes",
        )
        self.built = True

    def adapt(self, batches: Iterable[Any]) -> None:
        """Fits the axes to training images.

        Args:
            batches: Batches of RGB images in [0, 255] `(batch, height, width, 3)`.
        """
        count, total, products = 0, np.zeros(3), np.zeros((3, 3))
        for batch in batches:
            pixels = np.asarray(batch, "float64").reshape(-1, 3) / 255.0
            count, total = count + len(pixels), total + pixels.sum(0)
            products += pixels.T @ pixels
        mean = total / count
        values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
        self.axes.assign((vectors * values).T)

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        draw = self.strength * keras.random.normal(
            (keras.ops.shape(images)[0], 3), seed=self.generator
        )
        shift = 255.0 * keras.ops.matmul(draw, self.axes)
        changed = keras.ops.cast(images, "float32") + shift[:, None, None, :]
        return keras.ops.cast(keras.ops.clip(changed, 0.0, 255.0), images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "strength": self.strength}
