"""Requests that TensorFlow Serving answers before it reports that a model is ready."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf


def write_warmup(folder: pathlib.Path, requests: dict[str, dict[str, Any]]) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests` into a SavedModel version.

    This is a TFRecord file of `tensorflow.serving.PredictionLog` messages, as described at
    https://www.tensorflow.org/tfx/serving/saved_model_warmup.

    Args:
        folder: Folder of the version.
        requests: Signature names, each with its inputs as tensors.
    """
    target = folder / "assets.extra" / "tf_serving_warmup_requests"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(target)) as writer:
        for signature, inputs in requests.items():
            # fields by their numbers in tensorflow_serving/apis: the package of these messages
            # brings gRPC, which nothing else here needs
            spec = _field(3, signature.encode())  # ModelSpec.signature_name
            request = _field(1, spec)  # PredictRequest.model_spec
            for name, value in inputs.items():
                tensor = tf.make_tensor_proto(value).SerializeToString()
                request += _field(2, _field(1, name.encode()) + _field(2, tensor))  # .inputs
            log = _field(1, request)  # PredictLog.request
            writer.write(_field(6, log))  # PredictionLog.predict_log


def _field(number: int, content: bytes) -> bytes:
    """Encodes a protocol buffer field that holds bytes, text or a message."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
