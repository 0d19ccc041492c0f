"""Fractional max pooling: shrinks by a factor between 1 and 2."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import keras
import numpy as np

from tlkit.limits import flag, number, one_of, within
from tlkit.registry import register
from tlkit.tensors import Tensor


@register("fractional_max_pooling")
@keras.saving.register_keras_serializable(package="tlkit")
class FractionalMaxPooling2D(keras.layers.Layer):
    """Max pooling that reduces height and width by a ratio between 1 and 2.

    A side of length N becomes n = floor(N / ratio). The region boundaries are
    a_0 = 0 < a_1 < ... < a_n = N, with steps of floor(N / n) or one more. Region i is
    [a_(i-1), a_i - 1], or [a_(i-1), a_i] if regions overlap. `random` shuffles the
    steps; `pseudo-random` uses a_i = ceil(alpha (i + u)) - ceil(alpha u) with
    alpha = N / n and u uniform in (0, 1). Both draw anew at every call. At inference
    u = 1/2 in both modes, so that the output is deterministic. (Graham 2014,
    "Fractional Max-Pooling", section 2.)

    Args:
        ratio: Input side / output side, in (1, 2).
        mode: `pseudo-random` or `random`.
        overlapping: Whether neighbouring regions share their borders.
        seed: Seed of the random regions.

    Input: `(batch, height, width, channels)`, height and width known. Output:
    `(batch, floor(height / ratio), floor(width / ratio), channels)`.

    Raises:
        ValueError: if `ratio` is outside (1, 2), `mode` is unknown or a side is too small.
    """

    def __init__(
        self,
        *,
        ratio: Annotated[float, within(1.01, 1.99)] = 1.414,
        mode: Literal["pseudo-random", "random"] = "pseudo-random",
        overlapping: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.ratio = number("ratio", ratio, above=1, below=2)
        self.mode = one_of("mode", mode, ("pseudo-random", "random"))
        self.overlapping = flag("overlapping", overlapping)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _sides(self, shape: Any) -> list[tuple[int, int]]:
        sides = []
        for side in shape[1:3]:
            if side is None or int(side / self.ratio) < 1:
                raise ValueError(
                    f"needs known sides of at least {math.ceil(self.ratio)}, got shape {shape}"
                )
            sides.append((side, int(side / self.ratio)))
        return sides

    def _edges(self, before: int, after: int, training: bool) -> Any:
        """Region boundaries a_0 ... a_n as int32 `(after + 1,)`."""
        ops, alpha = keras.ops, before / after
        if training and self.mode == "random":
            least = before // after
            steps = np.full(after, least)
            steps[: before - least * after] += 1
            steps = keras.random.shuffle(ops.convert_to_tensor(steps), seed=self.seed_generator)
            return ops.pad(ops.cast(ops.cumsum(steps), "int32"), (1, 0))
        u = keras.random.uniform((), dtype="float32", seed=self.seed_generator) if training else 0.5
        inner = ops.ceil(alpha * (np.arange(1, after, dtype="float32") + u)) - ops.ceil(alpha * u)
        edges = ops.pad(ops.cast(inner, "int32"), (1, 1))
        return edges + before * (np.arange(after + 1) == after).astype("int32")

    def _pool(self, images: Tensor, axis: int, edges: Any, longest: int) -> Tensor:
        """The maximum of each region along one axis."""
        ops = keras.ops
        last = edges[1:] if self.overlapping else edges[1:] - 1
        last = ops.minimum(last, images.shape[axis] - 1)
        pooled = ops.take(images, edges[:-1], axis=axis)
        for offset in range(1, longest + self.overlapping):
            at = ops.minimum(edges[:-1] + offset, last)
            pooled = ops.maximum(pooled, ops.take(images, at, axis=axis))
        return pooled

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        outputs = inputs
        for axis, (before, after) in enumerate(self._sides(inputs.shape), start=1):
            edges = self._edges(before, after, bool(training))
            outputs = self._pool(outputs, axis, edges, math.ceil(before / after))
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        (_, height), (_, width) = self._sides(input_shape)
        return (input_shape[0], height, width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "mode": self.mode,
            "overlapping": self.overlapping,
            "seed": self.seed,
        }
