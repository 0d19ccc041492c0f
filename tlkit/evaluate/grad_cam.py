"""Where in an image a network saw its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit.features.engines.keras import as_traced
from tlkit.features.split_network import flatten_model
from tlkit.surgery.walk import nodes_of
from tlkit.tensors import KerasModel

AT_ONCE = 8  # images whose inner maps are in memory together


def find_map(model: KerasModel) -> Any:
    """The last spatial tensor `(batch, height, width, channels)` of a flat model, or None."""
    for node in reversed(nodes_of(model)):
        for tensor in node.outputs:
            shape = tensor.shape
            if len(shape) == 4 and (shape[1] or 0) > 1 and (shape[2] or 0) > 1:
                return tensor
    return None


def grad_cam(model: KerasModel, images: np.ndarray, classes: np.ndarray) -> np.ndarray | None:
    """Grad-CAM heat maps of given classes.

    L = relu(sum_k alpha_k A^k), alpha_k the mean over all positions of the gradient of the class's
    logit with respect to the last feature map A^k. (Selvaraju et al. 2017, "Grad-CAM", equations 1
    and 2.)

    Args:
        model: Functional model from images to logits.
        images: Images, `(n, height, width, 3)` in [0, 255].
        classes: Class id of each image, `(n,)`.

    Returns:
        float32 `(n, h, w)` of the map's size, each scaled to a maximum of 1; None if the network
        has no such map.
    """
    flat = flatten_model(model)
    tensor = find_map(flat)
    if tensor is None:
        return None
    below = keras.Model(flat.inputs, tensor)
    above = keras.Model(tensor, flat.outputs[0])
    # compiled, as each of a network's many layers is slow when first run on its own
    forward = tf.function(lambda part: below(part, training=False), autograph=False)
    given = forward.get_concrete_function(tf.TensorSpec((None, *images.shape[1:]), tf.float32))
    with as_traced():
        parts = [
            given(tf.constant(images[first : first + AT_ONCE], tf.float32))
            for first in range(0, len(images), AT_ONCE)
        ]
    maps = tf.cast(tf.concat(parts, 0), tf.float32)
    return np.asarray(heat_of(lambda given: above(given, training=False), maps, classes))


def heat_of(above: Callable[[Any], Any], maps: Any, classes: Any) -> Any:
    """Heat maps `(n, h, w)` as defined in `grad_cam`, in graph operations.

    Args:
        above: Function from the last feature maps to logits.
        maps: Last feature maps, `(n, h, w, channels)`, float32.
        classes: Class id of each image, `(n,)`.
    """
    with tf.GradientTape() as tape:
        tape.watch(maps)
        chosen = tf.reduce_sum(tf.gather(above(maps), classes, axis=1, batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, -1))
    return heat / tf.maximum(tf.reduce_max(heat, axis=(1, 2), keepdims=True), 1e-12)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A uint8 image with a heat map over it, red where it is hot."""
    from matplotlib import colormaps
    from PIL import Image

    height, width = image.shape[:2]
    large = Image.fromarray((255 * heat).astype("uint8")).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    level = np.asarray(large, "float32")[..., None] / 255
    colour = colormaps["turbo"](level[..., 0])[..., :3] * 255
    mixed = image * (1 - 0.55 * level) + colour * (0.55 * level)
    return np.clip(mixed, 0, 255).astype("uint8")
