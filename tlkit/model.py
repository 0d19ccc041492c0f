"""The whole network: raw RGB in, probabilities out, preprocessing inside."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tlkit import registry
from tlkit.backbones import spec as specs
from tlkit.backbones.load import load_backbone
from tlkit.backbones.spec import BackboneSpec
from tlkit.errors import UserError
from tlkit.freeze import Block, backbone_blocks
from tlkit.recipe.schema import Model, Recipe

# ImageNet's channel mean and deviation of RGB in [0, 1], and Caffe's mean of BGR in [0, 255]
TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclasses.dataclass
class Network:
    """A built model and the parts that training handles.

    Attributes:
        model: RGB in [0, 255] `(batch, height, width, 3)` to probabilities.
        logits: The same network, ending before the softmax.
        spec: Of the backbone.
        blocks: Of the backbone, from input to output.
        head: The head's layers.
        extractor: From the images to the pooled features, all of it below the head.
        head_logits: From those features to the logits.
        classes: Names in the order of the outputs.
        image_size: Height and width in pixels.
    """

    model: Any
    logits: Any
    spec: BackboneSpec
    blocks: list[Block]
    head: list[Any]
    extractor: Any
    head_logits: Any
    classes: list[str]
    image_size: tuple[int, int]


def image_size(recipe: Recipe) -> tuple[int, int]:
    """Height and width that the recipe's network gets, in pixels."""
    size = recipe.data.image_size
    if size is None:
        if recipe.model.backbone.startswith("hub:"):
            return (224, 224)
        own = specs.find(recipe.model.backbone).size
        return (own, own)
    return size if isinstance(size, tuple) else (size, size)


def build_network(config: Model, classes: list[str], size: tuple[int, int]) -> Network:
    """Builds preprocessing, backbone and head into one functional Keras model.

    Only layers of Keras are used, so the saved model loads where tlkit is not.

    Args:
        config: The recipe's `model`.
        classes: Names in the order of the outputs; for the original head, ImageNet's.
        size: Height and width of the images, in pixels.

    Raises:
        UserError: if the backbone cannot be built this way.
    """
    import keras

    original = config.head.name == "original"
    backbone, spec = load_backbone(
        config.backbone, config.weights, size, include_top=original, arguments=config.arguments
    )
    inputs = keras.Input((*size, 3), name="image")
    features = backbone(preprocess(inputs, spec))
    if original:
        count = int(features.shape[-1])
        if len(classes) != count:
            raise UserError(f"the original top has {count} classes, {len(classes)} names are known")
    before = {id(layer) for layer in keras.Model(inputs, features).layers}
    logits = registry.HEADS.build(config.head.name, features, len(classes), **config.head.arguments)
    outputs = keras.layers.Softmax(dtype="float32", name="probabilities")(logits)
    model = keras.Model(inputs, outputs, name="tlkit_model")
    head = [layer for layer in model.layers if id(layer) not in before and layer.weights]
    pooled = [layer.output for layer in model.layers if layer.name == "head_pooling"]
    cut = pooled[0] if pooled else features
    return Network(
        model=model,
        logits=keras.Model(inputs, logits, name="tlkit_logits"),
        extractor=keras.Model(inputs, cut, name="tlkit_features"),
        head_logits=keras.Model(cut, logits, name="tlkit_head"),
        spec=spec,
        blocks=backbone_blocks(backbone, spec),
        head=head,
        classes=classes,
        image_size=size,
    )


def as_float32(network: Network) -> Network:
    """The network that is evaluated and served: float32, whatever it was trained in.

    Lower precision makes training faster; rounded differently by each machine
    and batch, it would make what is served differ from what was evaluated.
    """
    import keras

    config = network.model.get_config()
    if not _to_float32(config):
        return network
    keras.config.set_dtype_policy("float32")
    model = keras.Model.from_config(config)
    model.set_weights(network.model.get_weights())
    logits = keras.Model(model.input, model.get_layer("probabilities").input)
    return dataclasses.replace(network, model=model, logits=logits)


def _to_float32(config: Any) -> bool:
    """Replaces mixed precision in a model's config; says whether there was any."""
    found = False
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"]["name"] != "float32":
            config["config"] = {"name": "float32"}
            found = True
        for value in config.values():
            found |= _to_float32(value)
    elif isinstance(config, list | tuple):
        for value in config:
            found |= _to_float32(value)
    return found


def preprocess(images: Any, spec: BackboneSpec) -> Any:
    """Raw RGB in [0, 255] to what the backbone was trained on, with Keras layers alone.

    Args:
        images: Symbolic `(batch, height, width, 3)`.
        spec: Says what the backbone expects.
    """
    import keras

    mode = spec.preprocessing
    if mode == "affine":
        scale, offset = list(spec.scale), list(spec.offset)
        return keras.layers.Rescaling(scale, offset=offset, name="preprocess")(images)
    if mode == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(images)
    if mode == "torch":
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset, name="preprocess")(images)
    if mode == "caffe":
        bgr = keras.ops.flip(images, axis=-1)
        offset = [-mean for mean in CAFFE_MEAN]
        return keras.layers.Rescaling(1.0, offset=offset, name="preprocess")(bgr)
    return images


def fit_nearest_mean(network: Network, batches: Any) -> None:
    """Sets a nearest-mean head from one pass over the training images."""
    import keras

    from tlkit.heads.nearest_mean import fit_means

    layer = next(layer for layer in network.head if layer.name == "head_means")
    unit = network.model.get_layer("head_unit").output
    extract = keras.Model(network.model.input, unit)
    features, labels = [], []
    for images, ids in batches:
        features.append(extract(keras.ops.cast(images, "float32"), training=False))
        labels.append(ids)
    kernel = fit_means(
        np.concatenate([np.asarray(part, np.float32) for part in features]),
        np.concatenate(labels),
        len(network.classes),
    )
    layer.kernel.assign(kernel)
