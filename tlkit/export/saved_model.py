"""A TensorFlow SavedModel that a server loads without tlkit or Keras."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import tensorflow as tf

from tlkit.data.decode import Resize, decode, resize
from tlkit.data.transcode import decodable
from tlkit.evaluate.grad_cam import find_map, heat_of
from tlkit.export.warmup import write_warmup
from tlkit.features.engines.keras import MOST_CONSTANTS
from tlkit.features.split_network import flatten_model, outputs_of
from tlkit.model import before_activation
from tlkit.registry import register
from tlkit.surgery import fold_batch_norm
from tlkit.surgery.walk import nodes_of
from tlkit.tasks.base import Task
from tlkit.tensors import KerasModel, Tensor


@register("saved_model", runtime="tensorflow", takes="bytes")
def saved_model(
    model: KerasModel,
    task: Task,
    size: tuple[int, int],
    how: Resize,
    antialias: bool,
    split: Any,
    folder: pathlib.Path,
    *,
    explain: bool = True,
) -> pathlib.Path:
    """Writes `saved_model/1/`, with BatchNorm folded and weights stored as constants.

    It has these signatures:

    - `serving_default` takes `images`, float32 `(batch, height, width, 3)` in [0, 255] of any size,
      and `serve_uint8` the same as uint8;
    - `serve_bytes` takes `image_bytes`, encoded images in the formats that
      `tlkit.data.decode.decode` accepts;
    - `features` takes `image_bytes` and returns `features`, the input vectors of the head;
    - `explain` takes `image_bytes` and returns `heat` `(batch, h, w)` in [0, 1], which shows where
      the label was seen (Grad-CAM, Selvaraju et al. 2017).

    All except `features` return the task's answers, such as `probabilities` `(batch, classes)`,
    `label` (text) and `label_id` (int64), and all resize as in training.
    `assets.extra/tf_serving_warmup_requests` makes TensorFlow Serving answer a few requests before
    it reports that it is ready.

    Args:
        model: Model from RGB in [0, 255] to the task's answers.
        task: Task that the model answers.
        size: Height and width of the model's input, in pixels.
        how: Method by which images are resized to that size.
        antialias: Whether images are low-pass filtered before shrinking.
        split: Images; the first one is used to warm up a server.
        folder: Folder of all exports.
        explain: Whether to write the signature `explain`, for networks that have a feature map.

    Returns:
        Path of the folder `saved_model/1`.
    """
    outputs, network, above, variables = _parts(model)
    root = tf.Module()
    root.network, root.above, root.kept = network, above, variables

    def answer(images: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
        found = dict(zip(outputs, network(images), strict=True))
        return found, task.answer_tensors(found["logits"])

    def fit(image: Tensor) -> Any:
        return resize(image, size, how, antialias)

    def pixels(image_bytes: Any) -> Any:
        images = tf.map_fn(
            lambda data: fit(decode(data)),
            image_bytes,
            fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8),
        )
        return tf.cast(images, tf.float32)

    def serve_images(images: Tensor) -> dict[str, Any]:
        images = tf.cast(images, tf.float32)  # LiteRT resizes no uint8
        exact = tf.reduce_all(tf.shape(images)[1:3] == tf.constant(size))
        fitting = tf.cond(
            exact,
            lambda: images,
            lambda: tf.cast(
                tf.map_fn(fit, images, fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8)),
                tf.float32,
            ),
        )
        # converters forget a shape that is only set; they know that of a reshape
        return answer(tf.reshape(fitting, (-1, *size, 3)))[1]

    def serve_bytes(image_bytes: Any) -> dict[str, Any]:
        return answer(pixels(image_bytes))[1]

    def features(image_bytes: Any) -> dict[str, Any]:
        return {"features": answer(pixels(image_bytes))[0]["features"]}

    def explained(image_bytes: Any) -> dict[str, Any]:
        found, answers = answer(pixels(image_bytes))
        return {
            **answers,
            "heat": heat_of(
                lambda maps: above(maps)[0], found["map"], task.explained_output(answers)
            ),
        }

    any_size = (None, None, None, 3)
    encoded = tf.TensorSpec((None,), tf.string, name="image_bytes")
    endpoints = {
        "serving_default": (serve_images, tf.TensorSpec(any_size, tf.float32, name="images")),
        "serve_uint8": (serve_images, tf.TensorSpec(any_size, tf.uint8, name="images")),
        "serve_bytes": (serve_bytes, encoded),
        "features": (features, encoded),
    }
    if explain and "map" in outputs:
        endpoints["explain"] = explained, encoded
    signatures = {
        name: tf.function(function, input_signature=[spec], autograph=False)
        for name, (function, spec) in endpoints.items()
    }
    for name, function in signatures.items():
        setattr(root, name, function)
    # what is loaded and saved again has no signatures but this, and functions by their names
    root._default_save_signature = root.__call__ = signatures["serving_default"]
    target = folder / "saved_model" / "1"
    # gradients that layers define for themselves cannot be saved beside constants; `explain` has its own
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(target), signatures=signatures, options=options)
    first = decodable(split.records[0].read())
    one = {
        "serving_default": tf.zeros((1, *size, 3)),
        "serve_uint8": tf.zeros((1, *size, 3), "uint8"),
    }
    write_warmup(
        target,
        {
            name: {"images": one[name]} if name in one else {"image_bytes": [first]}
            for name in signatures
        },
    )
    return target


def _parts(model: KerasModel) -> tuple[list[str], Any, Any, list[Any]]:
    """Returns the network as a function of float32 pixels, and the head as one of the last map.

    Returns:
        Names of the outputs of the first function; the first function; the second one, None if
        there is no map; and the variables of both if they are too large for constants.
    """
    flat = flatten_model(fold_batch_norm(before_activation(model))[0])
    given = {"logits": flat.outputs[0]}
    pooled = outputs_of(flat, lambda layer: layer.name == "head_pooling")
    if not pooled:  # the original top, or a backbone that gives vectors
        weighted = [node for node in nodes_of(flat) if getattr(node.operation, "weights", None)]
        pooled = weighted[-1].input_tensors[:1]
    given["features"] = pooled[0]
    large = 4 * flat.count_params() > MOST_CONSTANTS
    above = None
    if (places := find_map(flat)) is not None:
        given["map"] = places
        above = _function(keras.Model(places, flat.outputs[0]), large)
    network = _function(keras.Model(flat.inputs, list(given.values())), large)
    return list(given), network, above, [w.value for w in flat.weights] if large else []


def _function(model: KerasModel, large: bool) -> Any:
    """Returns a model as a function of float32, with constants as weights unless it is too large.

    Constants let the TensorFlow runtime fuse convolution, bias and activation into one operation.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function(autograph=False)
    def forward(images: Tensor) -> Any:
        return [tf.cast(x, tf.float32) for x in tf.nest.flatten(model(images, training=False))]

    concrete = forward.get_concrete_function(
        tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32)
    )
    return concrete if large else _plain(convert_variables_to_constants_v2(concrete))


def _plain(function: Any) -> Any:
    """Returns a function whose operations have the standard gradients of their type.

    Gradients that a layer defines itself, to save memory, have captures that cannot be saved, so a
    loaded model could not be saved again.
    """
    from tensorflow.python.eager.wrap_function import function_from_graph_def

    graph = function.graph.as_graph_def()
    for nodes in (graph.node, *(f.node_def for f in graph.library.function)):
        for node in nodes:
            node.attr.pop("_gradient_op_type", None)
    inputs, outputs = (
        [tensor.name for tensor in side] for side in (function.inputs, function.outputs)
    )
    return function_from_graph_def(graph, inputs, outputs)
