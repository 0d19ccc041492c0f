"""The model compiled by XLA, in half precision, for a GPU."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tlkit.features.compiled_model import CompiledModel
from tlkit.features.engines.keras import as_arrays, traced
from tlkit.registry import register
from tlkit.surgery import fold_batch_norm
from tlkit.tensors import KerasModel


@register("xla", rank=0, device="GPU", least_cosine=0.98, precisions="float16")
def xla(model: KerasModel) -> CompiledModel:
    """TensorFlow with XLA and mixed float16, and BatchNorm folded; used if there is a GPU."""
    folded, _ = fold_batch_norm(model)
    forward = tf.function(traced(_in_half_precision(folded)), jit_compile=True, autograph=False)
    return CompiledModel(as_arrays(forward), "float16")


def _in_half_precision(model: KerasModel) -> KerasModel:
    """A copy whose layers compute in float16 and keep their weights in float32."""
    config = model.get_config()
    _set_policy(config)
    copy = keras.Model.from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def _set_policy(config: Any) -> None:
    """Replaces float32 in a model's config by mixed precision."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"]["name"] == "float32":
            config["config"] = {"name": "mixed_float16"}
        for value in config.values():
            _set_policy(value)
    elif isinstance(config, list | tuple):
        for value in config:
            _set_policy(value)
