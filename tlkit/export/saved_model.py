"""A TensorFlow SavedModel that a server loads without tlkit or Keras."""

from __future__ import annotations

import pathlib
from typing import Any

from tlkit.data.decode import Resize, decode, resize
from tlkit.registry import register


@register("saved_model", runtime="tensorflow", takes="bytes")
def saved_model(
    model: Any,
    classes: list[str],
    size: tuple[int, int],
    how: Resize,
    antialias: bool,
    folder: pathlib.Path,
) -> pathlib.Path:
    """Writes `saved_model/1/` with the signatures `serving_default` and `serve_bytes`.

    `serving_default` takes `images`, float32 or, as `serve_uint8`, uint8
    `(batch, height, width, 3)` in [0, 255], of any size; `serve_bytes` takes
    `image_bytes`, encoded pictures. Both resize as in training and return
    `probabilities` `(batch, classes)`, `label` (text) and `label_id` (int64).

    Args:
        model: RGB in [0, 255] to probabilities.
        classes: Names in the order of the outputs.
        size: Height and width that the model takes, in pixels.
        how: How images are brought to that size.
        antialias: Low-pass before shrinking.
        folder: Where exports go.

    Returns:
        The folder `saved_model/1`.
    """
    import keras
    import tensorflow as tf

    names = tf.constant(classes)

    def answer(images: Any) -> dict[str, Any]:
        probabilities = tf.cast(model(images, training=False), tf.float32)
        label_id = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.gather(names, label_id),
            "label_id": label_id,
        }

    def fit(image: Any) -> Any:
        return resize(image, size, how, antialias)

    def serve_images(images: Any) -> dict[str, Any]:
        exact = tf.reduce_all(tf.shape(images)[1:3] == tf.constant(size))
        fitting = tf.cond(
            exact,
            lambda: tf.cast(images, tf.float32),
            lambda: tf.cast(
                tf.map_fn(fit, images, fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8)),
                tf.float32,
            ),
        )
        fitting.set_shape((None, *size, 3))
        return answer(fitting)

    def serve_bytes(image_bytes: Any) -> dict[str, Any]:
        images = tf.map_fn(
            lambda data: fit(decode(data)),
            image_bytes,
            fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8),
        )
        return answer(tf.cast(images, tf.float32))

    any_size = (None, None, None, 3)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", serve_images, [tf.TensorSpec(any_size, tf.float32, name="images")]
    )
    archive.add_endpoint(
        "serve_uint8", serve_images, [tf.TensorSpec(any_size, tf.uint8, name="images")]
    )
    archive.add_endpoint(
        "serve_bytes", serve_bytes, [tf.TensorSpec((None,), tf.string, name="image_bytes")]
    )
    target = folder / "saved_model" / "1"
    archive.write_out(target, verbose=False)
    return target
