"""The building block of the deep residual shrinkage network."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import keras

from tlkit.layers.soft_threshold import soft_threshold
from tlkit.limits import odd, one_of, whole, within
from tlkit.registry import register
from tlkit.tensors import Tensor

START = 1e-3  # of He's deviation


@register("residual_shrinkage")
@keras.saving.register_keras_serializable(package="tlkit")
class ResidualShrinkageBlock(keras.layers.Layer):
    """Residual block that soft-thresholds its branch, for noisy data.

    y = x + soft(F(x), tau), where F is (BN, ReLU, 3x3 convolution) twice. Let m be the
    mean of |F(x)| over the positions, `(channels,)`. Then
    channel-wise tau = m * sigmoid(W2 relu(BN(W1 m))), one threshold per channel;
    shared tau = mean(m) * sigmoid(w2 relu(BN(W1 m))), one threshold per image.
    (Zhao et al. 2020, "Deep Residual Shrinkage Networks for Fault Diagnosis",
    sections III-B and III-C.)

    The last convolution starts at a thousandth of He's scale, so that a block inserted into a
    pretrained network starts as the identity up to a thousandth. (If it started at zero, it
    would stay there: soft thresholding has no gradient where everything is below the
    threshold.)

    Args:
        thresholds: `channel` or `shared`.
        reduction: Divisor of the channels; the threshold network's hidden layer has
            channels / reduction units.
        kernel_size: Size of the convolution kernels, in pixels, odd.

    Input and output: `(batch, height, width, channels)` float.

    Raises:
        ValueError: if `thresholds`, `reduction` or `kernel_size` is not valid.
    """

    def __init__(
        self,
        *,
        thresholds: Literal["channel", "shared"] = "channel",
        reduction: Annotated[int, within(1, 4096)] = 1,
        kernel_size: Annotated[int, within(1, 15), odd] = 3,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.thresholds = one_of("thresholds", thresholds, ("channel", "shared"))
        self.reduction = whole("reduction", reduction)
        self.kernel_size = whole("kernel_size", kernel_size, odd=True)

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        hidden = max(1, channels // self.reduction)
        of = {"dtype": self.dtype_policy}
        self.norms = [
            keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{i}", **of) for i in (1, 2)
        ]
        self.convolutions = [
            keras.layers.Conv2D(
                channels,
                self.kernel_size,
                padding="same",
                use_bias=False,
                kernel_initializer=keras.initializers.VarianceScaling(2 * scale**2),
                name=f"conv_{i}",
                **of,
            )
            for i, scale in ((1, 1.0), (2, START))
        ]
        self.reduce = keras.layers.Dense(hidden, name="reduce", **of)
        self.reduce_norm = keras.layers.BatchNormalization(momentum=0.9, name="reduce_norm", **of)
        units = channels if self.thresholds == "channel" else 1
        self.expand = keras.layers.Dense(units, activation="sigmoid", name="expand", **of)
        shape = tuple(input_shape)
        for layer in (*self.norms, *self.convolutions):
            layer.build(shape)
        self.reduce.build((shape[0], channels))
        self.reduce_norm.build((shape[0], hidden))
        self.expand.build((shape[0], hidden))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        branch = inputs
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            branch = convolution(keras.ops.relu(norm(branch, training=training)))
        size = keras.ops.mean(keras.ops.abs(branch), axis=(1, 2))
        hidden = keras.ops.relu(self.reduce_norm(self.reduce(size), training=training))
        if self.thresholds == "shared":
            size = keras.ops.mean(size, axis=-1, keepdims=True)
        threshold = size * self.expand(hidden)
        return inputs + soft_threshold(branch, threshold[:, None, None, :])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.thresholds,
            "reduction": self.reduction,
            "kernel_size": self.kernel_size,
        }
