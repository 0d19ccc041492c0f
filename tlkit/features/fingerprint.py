"""A hash of everything that determines a network's outputs, whatever its layers' names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tlkit.surgery.walk import nodes_of
from tlkit.tensors import KerasModel

# parts of a layer's configuration that do not affect its outputs while it is frozen
IDLE = ("name", "trainable", "build_config", "shared_object_id", "registered_name")


def fingerprint(model: KerasModel) -> str:
    """SHA-256 of the operations, their settings and order, and every weight.

    Args:
        model: Functional Keras model without nested models.

    Returns:
        64 hexadecimal digits: the same in every process, and for other names of the
        layers.

    Raises:
        NotImplementedError: if an operation has no configuration.
    """
    digest = hashlib.sha256()
    places: dict[int, int] = {}
    for node in nodes_of(model):
        operation = node.operation
        given = [places[id(tensor)] for tensor in node.input_tensors]
        constants = [
            value
            for value in (*node.arguments.args, *node.arguments.kwargs.items())
            if not _is_tensor(value)
        ]
        _add(digest, [type(operation).__name__, operation.get_config(), given, repr(constants)])
        add_arrays(digest, getattr(operation, "weights", ()))
        for tensor in node.outputs:
            places[id(tensor)] = len(places)
    _add(digest, [places[id(tensor)] for tensor in model.outputs])
    return digest.hexdigest()


def layers_fingerprint(layers: Iterable[Any]) -> str:
    """SHA-256 of layers in order: kinds, settings and weights, but not random states."""
    digest = hashlib.sha256()
    for layer in layers:
        _add(digest, [type(layer).__name__, layer.get_config()])
        add_arrays(digest, [v for v in layer.variables if "seed_generator" not in v.path])
    return digest.hexdigest()


def add_arrays(digest: Any, arrays: Iterable[Any]) -> None:
    """Adds the shape, type and bytes of arrays to a hash."""
    for item in arrays:
        array = np.ascontiguousarray(item)
        _add(digest, [list(array.shape), str(array.dtype)])
        digest.update(array.view(np.uint8).data if array.size else b"")


def _is_tensor(value: Any) -> bool:
    parts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(part, keras.KerasTensor) for part in parts)


def _add(digest: Any, value: Any) -> None:
    digest.update(json.dumps(_plain(value), sort_keys=True, default=repr).encode())


def _plain(value: Any) -> Any:
    """A configuration without the layers' names."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in IDLE}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
