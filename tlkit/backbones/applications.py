"""Every model of `keras.applications`, as a table."""

from __future__ import annotations

from typing import Any

from tlkit.backbones.spec import BackboneSpec

_KERAS = "ImageNet-1k, the weights that Keras distributes"
_APACHE = "Apache-2.0, Google"

# family -> preprocessing, smallest side, pattern of blocks, whether it marks the end, licence
_FAMILIES: dict[str, tuple[Any, int, str, bool, str]] = {
    "convnext": ("none", 32, r".*_(stage_\d_block_\d+|downsampling_block_\d)_", False, "MIT, Meta"),
    "densenet": ("torch", 32, r"(conv\d_block\d+|pool\d)_", False, "BSD-3-Clause, Zhuang Liu"),
    "efficientnet": ("none", 32, r"(block\d[a-z]|top)_", False, _APACHE),
    "inception_resnet_v2": (
        "tf",
        75,
        r"mixed_\d\w$|block\d+_\d+_ac$|conv_7b_ac$",
        True,
        _APACHE,
    ),
    "inception_v3": ("tf", 75, r"mixed\d+$", True, _APACHE),
    "mobilenet": ("tf", 32, r"conv_(?:dw|pw|pad)_(\d+)", False, _APACHE),
    "mobilenet_v2": ("tf", 32, r"(expanded_conv|block_\d+)_|Conv_1|out_relu", False, _APACHE),
    "mobilenet_v3": ("none", 32, r"(expanded_conv(?:_\d+)?)_[a-z]|conv_1", False, _APACHE),
    "nasnet": ("tf", 32, r"(?:normal|reduction)_concat_\w+$", True, _APACHE),
    "resnet": ("caffe", 32, r"(conv\d_block\d+)_", False, "MIT, Kaiming He"),
    "resnet_v2": ("tf", 32, r"(conv\d_block\d+)_", False, "MIT, Kaiming He"),
    "vgg": ("caffe", 32, r"(block\d)_", False, "CC BY 4.0, University of Oxford"),
    "xception": ("tf", 71, r"(block\d+)_", False, "MIT, Francois Chollet"),
}

_WITHOUT_BATCH_NORM = {"convnext", "vgg"}

# recipe name, constructor, family, size, parameters in millions without top
_TABLE = (
    ("convnext_tiny", "ConvNeXtTiny", "convnext", 224, 27.8),
    ("convnext_small", "ConvNeXtSmall", "convnext", 224, 49.5),
    ("convnext_base", "ConvNeXtBase", "convnext", 224, 87.6),
    ("convnext_large", "ConvNeXtLarge", "convnext", 224, 196.2),
    ("convnext_xlarge", "ConvNeXtXLarge", "convnext", 224, 348.1),
    ("densenet121", "DenseNet121", "densenet", 224, 7.0),
    ("densenet169", "DenseNet169", "densenet", 224, 12.6),
    ("densenet201", "DenseNet201", "densenet", 224, 18.3),
    ("efficientnet_b0", "EfficientNetB0", "efficientnet", 224, 4.0),
    ("efficientnet_b1", "EfficientNetB1", "efficientnet", 240, 6.6),
    ("efficientnet_b2", "EfficientNetB2", "efficientnet", 260, 7.8),
    ("efficientnet_b3", "EfficientNetB3", "efficientnet", 300, 10.8),
    ("efficientnet_b4", "EfficientNetB4", "efficientnet", 380, 17.7),
    ("efficientnet_b5", "EfficientNetB5", "efficientnet", 456, 28.5),
    ("efficientnet_b6", "EfficientNetB6", "efficientnet", 528, 41.0),
    ("efficientnet_b7", "EfficientNetB7", "efficientnet", 600, 64.1),
    ("efficientnet_v2_b0", "EfficientNetV2B0", "efficientnet", 224, 5.9),
    ("efficientnet_v2_b1", "EfficientNetV2B1", "efficientnet", 240, 6.9),
    ("efficientnet_v2_b2", "EfficientNetV2B2", "efficientnet", 260, 8.8),
    ("efficientnet_v2_b3", "EfficientNetV2B3", "efficientnet", 300, 12.9),
    ("efficientnet_v2_s", "EfficientNetV2S", "efficientnet", 384, 20.3),
    ("efficientnet_v2_m", "EfficientNetV2M", "efficientnet", 480, 53.2),
    ("efficientnet_v2_l", "EfficientNetV2L", "efficientnet", 480, 117.7),
    ("inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2", 299, 54.3),
    ("inception_v3", "InceptionV3", "inception_v3", 299, 21.8),
    ("mobilenet", "MobileNet", "mobilenet", 224, 3.2),
    ("mobilenet_v2", "MobileNetV2", "mobilenet_v2", 224, 2.3),
    ("mobilenet_v3_large", "MobileNetV3Large", "mobilenet_v3", 224, 3.0),
    ("mobilenet_v3_small", "MobileNetV3Small", "mobilenet_v3", 224, 0.9),
    ("nasnet_large", "NASNetLarge", "nasnet", 331, 84.9),
    ("nasnet_mobile", "NASNetMobile", "nasnet", 224, 4.3),
    ("resnet50", "ResNet50", "resnet", 224, 23.6),
    ("resnet101", "ResNet101", "resnet", 224, 42.7),
    ("resnet152", "ResNet152", "resnet", 224, 58.4),
    ("resnet50_v2", "ResNet50V2", "resnet_v2", 224, 23.6),
    ("resnet101_v2", "ResNet101V2", "resnet_v2", 224, 42.6),
    ("resnet152_v2", "ResNet152V2", "resnet_v2", 224, 58.3),
    ("vgg16", "VGG16", "vgg", 224, 14.7),
    ("vgg19", "VGG19", "vgg", 224, 20.0),
    ("xception", "Xception", "xception", 299, 20.9),
)


def _spec(name: str, constructor: str, family: str, size: int, parameters: float) -> BackboneSpec:
    preprocessing, minimum, blocks, blocks_end, licence = _FAMILIES[family]
    return BackboneSpec(
        name=name,
        constructor=f"keras.applications:{constructor}",
        preprocessing=preprocessing,
        size=size,
        minimum_size=minimum,
        blocks=blocks,
        blocks_end=blocks_end,
        licence=licence,
        weights=_KERAS,
        parameters=parameters,
        full_rate=1e-4 if family in _WITHOUT_BATCH_NORM else 1e-3,
    )


SPECS = [_spec(*row) for row in _TABLE]
