"""The whole network: raw RGB in, the task's predictions out, preprocessing included."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

from tlkit import registry
from tlkit.backbones import spec as specs
from tlkit.backbones.load import load_backbone
from tlkit.backbones.spec import BackboneSpec
from tlkit.entry import shown, shown_shape
from tlkit.errors import UserError, first_line
from tlkit.freeze import Block, backbone_blocks, blocks_that_learn
from tlkit.recipe.schema import Component, Model, Recipe
from tlkit.surgery import (
    as_depthwise,
    insert_layers,
    plain_model,
    recalibrate_batch_norm,
    swap_norm,
)
from tlkit.surgery.insert import Insertion
from tlkit.surgery.swap_norm import replace_norms
from tlkit.tasks.base import Task
from tlkit.tensors import KerasLayer, KerasModel, Tensor

Leaves = Literal["pixels", "centred", "scaled"]
LEFT = get_args(Leaves)

# ImageNet's channel mean and standard deviation (RGB in [0, 1]), and Caffe's mean (BGR in [0, 255])
TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclasses.dataclass
class Network:
    """A built model and the parts that training works with.

    Attributes:
        model: RGB in [0, 255] `(batch, height, width, 3)` to the task's predictions.
        logits: The same network, ending before the activation.
        spec: Spec of the backbone.
        blocks: Blocks of the backbone, from input to output.
        head: The head's layers.
        extractor: From the images to the pooled features; everything below the head.
        head_logits: From those features to the logits.
        inserted: Layers that the recipe inserted; those with weights are new, like the head.
        norm: One line on what was done to the backbone's normalisation; empty if nothing.
        preprocessing: The recipe's fitted steps, and what each outputs.
        task: What is learned; its outputs are those of the model.
        image_size: Height and width in pixels.
    """

    model: KerasModel
    logits: KerasModel
    spec: BackboneSpec
    blocks: list[Block]
    head: list[KerasLayer]
    extractor: KerasModel
    head_logits: KerasModel
    inserted: list[KerasLayer]
    norm: str
    preprocessing: Sequence[tuple[Leaves, Any]]
    task: Task
    image_size: tuple[int, int]

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return self.task.outputs


def image_size(recipe: Recipe) -> tuple[int, int]:
    """Input height and width of the recipe's network, in pixels."""
    size = recipe.data.image_size
    if size is None:
        if recipe.model.backbone.startswith("hub:"):
            return (224, 224)
        own = specs.find(recipe.model.backbone).size
        return (own, own)
    return size if isinstance(size, tuple) else (size, size)


def build_network(
    config: Model,
    task: Task,
    size: tuple[int, int],
    preprocessing: Sequence[tuple[Leaves, Any]] = (),
    *,
    sample: Callable[[int], Any] | None = None,
    train_count: int = 1,
) -> Network:
    """Builds preprocessing, backbone and head into one functional Keras model.

    Unless the recipe asks for more, only Keras layers are used, so the saved model
    loads without tlkit.

    Args:
        config: The recipe's `model`.
        task: What is learned; for the original head, its outputs are ImageNet's classes.
        size: Height and width of the images, in pixels.
        preprocessing: What each fitted step outputs (see `preprocess`), and its layer.
        sample: Returns some training images, RGB in [0, 255]; `norm` is calibrated on
            them. Without it, nothing is calibrated: the weights come from elsewhere.
        train_count: Number of training images, for heads that store them all.

    Raises:
        UserError: if the backbone cannot be built this way.
    """
    original = config.head.name == "original"
    backbone, spec = load_backbone(
        config.backbone, config.weights, size, include_top=original, arguments=config.arguments
    )
    backbone = as_depthwise(backbone)
    inputs = keras.Input((*size, 3), name="image")
    images: Any = inputs
    leaves: Leaves = "pixels"
    for left, step in preprocessing:
        images = step(images)
        leaves = left if LEFT.index(left) > LEFT.index(leaves) else leaves
    images = preprocess(images, spec, leaves)
    given = keras.Model(inputs, images)
    try:
        backbone, norm = change_norm(
            backbone, config.norm, None if sample is None else lambda count: given(sample(count))
        )
    except ValueError as error:
        raise UserError(str(error), where="model.norm") from None
    try:
        backbone, inserted = insert_layers(backbone, _insertions(config, backbone, spec))
    except ValueError as error:
        raise UserError(str(error), where="model.insert") from None
    features = backbone(images)
    if original:
        count = int(features.shape[-1])
        if len(task.outputs) != count:
            raise UserError(
                f"the original top has {count} classes, {len(task.outputs)} names are known"
            )
    before = {id(layer) for layer in keras.Model(inputs, features).layers}
    try:
        context = {"features": features, "classes": len(task.outputs), "images": train_count}
        logits = registry.HEADS.make(config.head.name, context, **config.head.arguments)
    except ValueError as error:
        raise UserError(str(error), where=f"model.head.{config.head.name}") from None
    _expect_logits(logits, features, len(task.outputs), f"model.head.{config.head.name}")
    outputs = task.activation()(logits)
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
        blocks=_blocks(backbone, spec, inserted),
        head=[layer for layer in inserted if layer.trainable_weights] + head,
        inserted=inserted,
        norm=norm,
        preprocessing=preprocessing,
        task=task,
        image_size=size,
    )


def _expect_logits(logits: Tensor, features: Tensor, classes: int, where: str) -> None:
    """Raises unless a head turned the features into logits."""
    expected = f"expected logits (batch, {classes}) that are made of the features"
    if not isinstance(logits, keras.KerasTensor):
        raise UserError(f"gives {shown(logits)}; {expected}", where=where)
    if tuple(logits.shape) != (None, classes):
        raise UserError(f"gives {shown_shape(logits.shape)}; {expected}", where=where)
    try:
        keras.Model(features, logits)
    except ValueError as error:
        raise UserError(f"{expected}: {first_line(error)}", where=where) from None


def change_norm(
    backbone: KerasModel, norm: KerasLayer, sample: Callable[[int], Any] | None = None
) -> tuple[Any, str]:
    """Applies the normalisation that a recipe asks for; returns the backbone and what was done.

    Args:
        backbone: Backbone as loaded.
        norm: The recipe's `model.norm`.
        sample: Returns some images preprocessed for the backbone; None to skip calibration.

    Raises:
        ValueError: if the backbone has no such layers.
    """
    if norm == "keep":
        return backbone, ""
    if norm != "frozen" and norm.recalibrate is not None:
        if sample is None:
            return backbone, ""
        images = sample(norm.recalibrate)
        text = f"BatchNorm statistics of {len(images)} training images"
        return recalibrate_batch_norm(backbone, images), text
    if norm == "frozen":
        changed, report = replace_norms(backbone, "frozen-batch")
        return changed, report.summary()
    if sample is None or not norm.calibrate:
        changed, report = replace_norms(backbone, norm.swap, norm.groups, norm.layers)
        return changed, report.summary()
    images = sample(norm.calibrate)
    changed, report = swap_norm(
        backbone, norm.swap, norm.groups, images, norm.layers, distill=norm.distill
    )
    return changed, f"{report.summary()}; calibrated on {len(images)} training images"


def _insertions(config: Model, backbone: KerasModel, spec: BackboneSpec) -> list[Insertion]:
    """The recipe's `insert`; a block's name stands for its last layer."""
    blocks = dict(spec.blocks_of([layer.name for layer in backbone.layers]))
    found = []
    for item in config.insert:
        arguments = {key: value for key, value in item.arguments.items() if key != "after"}
        after = item.arguments["after"]
        found.append(
            Insertion(item.name, arguments, blocks[after][-1] if after in blocks else after)
        )
    return found


def _blocks(backbone: KerasModel, spec: BackboneSpec, inserted: list[KerasLayer]) -> list[Block]:
    """The backbone's own blocks; inserted layers are new, like the head, and left out."""
    own = {id(layer) for layer in inserted}
    return blocks_that_learn(
        [
            Block(block.name, [layer for layer in block.layers if id(layer) not in own])
            for block in backbone_blocks(backbone, spec)
        ]
    )


def served_network(network: Network) -> Network:
    """The network that is evaluated, saved and exported: plain Keras layers, float32.

    Lower precision makes training faster, but its rounding differs between machines
    and batches, so the served model would differ from the evaluated one.
    """
    plain = plain_model(network.model)
    config = plain.get_config()
    if not _to_float32(config) and plain is network.model:
        return network
    keras.config.set_dtype_policy("float32")
    model = keras.Model.from_config(config)
    model.set_weights(plain.get_weights())
    return dataclasses.replace(network, model=model, logits=before_activation(model))


def before_activation(model: KerasModel) -> KerasModel:
    """The model without its final activation, so that it outputs logits."""
    return keras.Model(model.input, model.layers[-1].input)


@contextmanager
def in_float32() -> Iterator[None]:
    """Inside, layers are built to process pixels in float32, whatever precision training uses."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _to_float32(config: Any) -> bool:
    """Replaces mixed precision in a model's config; returns whether there was any."""
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


def preprocess(images: Tensor, spec: BackboneSpec, leaves: Leaves = "pixels") -> Tensor:
    """Converts RGB to the input that the backbone was trained on, with Keras layers alone.

    Args:
        images: Symbolic `(batch, height, width, 3)`.
        spec: Spec that says what the backbone expects.
        leaves: What the recipe's own steps output: `pixels` in [0, 255]; `centred`
            values, whose mean was subtracted, so that only the backbone's scale is
            applied; `scaled` values, for which only the channels are reordered.
    """
    scale, offset = _affine(spec)
    if spec.preprocessing == "caffe":
        images = keras.ops.flip(images, axis=-1)
    if spec.preprocessing == "none" or leaves == "scaled":
        return images
    if leaves == "centred":
        offset = 0.0
    return keras.layers.Rescaling(scale, offset=offset, name="preprocess")(images)


def _affine(spec: BackboneSpec) -> tuple[Any, Any]:
    """Scale and offset of each channel, after the channels were reordered."""
    if spec.preprocessing == "affine":
        return list(spec.scale), list(spec.offset)
    if spec.preprocessing == "tf":
        return 1 / 127.5, -1.0
    if spec.preprocessing == "torch":
        scale = [1 / (255 * std) for std in TORCH_STD]
        return scale, [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
    return 1.0, [-mean for mean in CAFFE_MEAN]


def fit_preprocessing(
    items: Sequence[Component], batches: Callable[[], Any]
) -> list[tuple[Leaves, Any]]:
    """Builds a recipe's preprocessing steps and fits them, one after another.

    Args:
        items: The recipe's `preprocess`.
        batches: Returns a new iterator over the training images, uint8
            `(batch, height, width, 3)`.

    Returns:
        What each step outputs, and its layer, as `build_network` takes them.

    Raises:
        UserError: if a step does not fit the images.
    """
    done: list[tuple[Leaves, Any]] = []

    def prepared() -> Any:
        for images in batches():
            images = tf.cast(images, tf.float32)
            for _, earlier in done:
                images = earlier(images)
            yield images

    for index, item in enumerate(items):
        with in_float32():
            step = registry.PREPROCESSORS.build(item.name, **item.arguments)
        if hasattr(step, "adapt"):
            try:
                step.adapt(
                    tf.data.Dataset.from_generator(
                        prepared, output_signature=_signature(next(prepared()))
                    )
                )
            except ValueError as error:
                raise UserError(str(error), where=f"preprocess[{index}].{item.name}") from None
        if isinstance(step, keras.layers.Normalization):
            # as constants they are in the model's configuration too, not only in its weights
            mean, variance = (np.ravel(value).tolist() for value in (step.mean, step.variance))
            step = keras.layers.Normalization(
                axis=-1, mean=mean, variance=variance, dtype="float32"
            )
        done.append((registry.PREPROCESSORS[item.name].facts.leaves, step))
    return done


def _signature(images: Tensor) -> Any:
    return tf.TensorSpec((None, *images.shape[1:]), images.dtype)


def is_stored(head: str) -> bool:
    """Whether a head is computed from the training images' features, without training."""
    return bool(registry.HEADS[head].facts.stored)


def store_features(network: Network, head: str, features: np.ndarray, labels: np.ndarray) -> None:
    """Sets the weights of a head that is computed from the training images' features.

    Args:
        network: Network with such a head.
        head: Registered name of the head.
        features: Pooled features `(images, channels)`.
        labels: Class ids `(images,)`.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = features / np.maximum(lengths, 1e-6)
    module = importlib.import_module(registry.HEADS[head].module)
    for name, kernel in module.stored_weights(units, labels, len(network.classes)).items():
        network.model.get_layer(name).kernel.assign(kernel)
