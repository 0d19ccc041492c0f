"""`tiny`: the small residual network whose pretrained weights ship with tlkit."""

from __future__ import annotations

from tlkit.backbones.spec import BackboneSpec
from tlkit.tensors import KerasModel, Tensor

WIDTHS = (32, 64, 128)
BLOCKS_PER_STAGE = 2
GROUPS = 8
STEM_WIDTH = 16

SPECS = [
    BackboneSpec(
        name="tiny",
        constructor="tlkit.backbones.tiny:Tiny",
        preprocessing="tf",
        size=32,
        minimum_size=32,
        blocks=r"(stage\d_block\d)_|post_",
        licence="Apache-2.0, the tlkit authors",
        weights="pretrained by tlkit on drawn images (tools/pretrain_tiny.py)",
        parameters=0.7,
        bundled="tiny.weights.h5",
    )
]


def Tiny(  # noqa: N802 - named like the constructors of keras.applications
    include_top: bool = False,
    weights: None = None,
    input_shape: tuple[int | None, int | None, int] = (32, 32, 3),
    name: str = "tiny",
) -> KerasModel:
    """A pre-activation residual network with GroupNorm, 0.69 M parameters.

    A 3x3 stem and three stages of two blocks, each stage at half the
    resolution of the one before, so the feature map is 1/8 of the input.
    GroupNorm makes it independent of the batch size. (He et al. 2016,
    "Identity Mappings in Deep Residual Networks"; Wu and He 2018, "Group
    Normalization".)

    Args:
        include_top: Must be False; the network has no classifier.
        weights: Must be None; `tlkit.backbones.load` reads the bundled file.
        input_shape: `(height, width, 3)`, each side at least 32 or None.
        name: Name of the returned model.

    Input: `(batch, height, width, 3)` float in [-1, 1].
    Output: `(batch, height / 8, width / 8, 128)`.

    Raises:
        ValueError: for a top, weights, or a side below 32.
    """
    import keras

    if include_top or weights is not None:
        raise ValueError(
            "tiny has neither a top nor weights of its own constructor; got "
            f"include_top={include_top}, weights={weights!r}"
        )
    if any(side is not None and side < 32 for side in input_shape[:2]):
        raise ValueError(f"tiny needs images of at least 32 x 32; got input_shape={input_shape}")

    inputs = keras.Input(input_shape)
    x = _conv(STEM_WIDTH, 3, 1, "stem_conv")(inputs)
    for stage, width in enumerate(WIDTHS, start=1):
        for block in range(1, BLOCKS_PER_STAGE + 1):
            x = _block(x, width, 2 if block == 1 else 1, f"stage{stage}_block{block}")
    x = keras.layers.GroupNormalization(GROUPS, name="post_norm")(x)
    outputs = keras.layers.ReLU(name="post_relu")(x)
    return keras.Model(inputs, outputs, name=name)


def _conv(width: int, size: int, stride: int, name: str) -> Tensor:
    import keras

    return keras.layers.Conv2D(
        width,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _block(x: Tensor, width: int, stride: int, name: str) -> Tensor:
    """Twice norm, ReLU and convolution, added to the shortcut."""
    import keras

    y = keras.layers.GroupNormalization(GROUPS, name=f"{name}_norm1")(x)
    y = keras.layers.ReLU(name=f"{name}_relu1")(y)
    if stride != 1 or x.shape[-1] != width:
        shortcut = _conv(width, 1, stride, f"{name}_shortcut")(y)
    else:
        shortcut = x
    y = _conv(width, 3, stride, f"{name}_conv1")(y)
    y = keras.layers.GroupNormalization(GROUPS, name=f"{name}_norm2")(y)
    y = keras.layers.ReLU(name=f"{name}_relu2")(y)
    y = _conv(width, 3, 1, f"{name}_conv2")(y)
    return keras.layers.Add(name=f"{name}_add")([shortcut, y])
