"""Image backbones of KerasHub, by preset name or local folder (`tlkit[hub]`)."""

from __future__ import annotations

from typing import Any

from tlkit.backbones.spec import BackboneSpec
from tlkit.errors import UserError, WeightsError

# KerasHub's networks name their layers after stages and blocks, such as `stack0_block1_2_conv`
BLOCKS = (
    r".*?((?:stack|stage|group|block|encoder_layer|transformer_layer)\w*?\d+(?:_block\w*?\d+)?)_"
)


def load_hub_backbone(
    preset: str, weights: str, image_size: tuple[int, int] | None, include_top: bool
) -> tuple[Any, BackboneSpec]:
    """Loads a KerasHub image backbone with the preprocessing of its preset.

    Keras needs KerasHub to load a saved model of it; the exported SavedModel needs
    neither.

    Args:
        preset: Preset name such as `resnet_50_imagenet`, or folder of a preset.
        weights: `none` leaves them random; `auto` loads the preset's.
        image_size: Height and width in pixels.
        include_top: Not supported; KerasHub keeps tops in other classes.

    Raises:
        UserError: if KerasHub is not installed, or the preset is not an image network.
        WeightsError: if the preset is unavailable.
    """
    try:
        import keras_hub
    except ImportError:
        raise UserError(
            f"backbone hub:{preset} needs KerasHub.",
            hint="Install it with: pip install 'tlkit[hub]'",
        ) from None
    if include_top:
        raise UserError(f"hub:{preset} has no original head here; use a head of your own classes")
    if weights not in ("auto", "none"):
        raise UserError(f"hub:{preset} takes weights auto or none, found {weights!r}")
    try:
        backbone = keras_hub.models.Backbone.from_preset(preset, load_weights=weights != "none")
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:  # the error depends on the host that serves the preset
        raise WeightsError(
            f"the preset could not be loaded: {error}",
            where=f"hub:{preset}",
            hint="With no network, name a local folder, as hub:./resnet_50_imagenet.",
        ) from None
    output = backbone.output
    if isinstance(output, dict) or len(output.shape) not in (2, 4):
        raise UserError(f"hub:{preset} is not an image backbone with one feature map")
    spec = BackboneSpec(
        name=f"hub:{preset}",
        constructor="keras_hub.models:Backbone.from_preset",
        preprocessing="affine",
        size=max(image_size or (224, 224)),
        minimum_size=1,
        blocks=BLOCKS,
        licence="see the preset's page",
        weights="KerasHub",
        parameters=backbone.count_params() / 1e6,
        scale=_three(converter.scale, 1.0),
        offset=_three(converter.offset, 0.0),
    )
    return backbone, spec


def _three(value: Any, default: float) -> tuple[float, float, float]:
    """Three numbers from one or three."""
    if value is None:
        value = default
    if isinstance(value, int | float):
        value = (value, value, value)
    first, second, third = (float(item) for item in value)
    return first, second, third
