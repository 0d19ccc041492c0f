"""Loads weights from a file into a backbone, and reports each weight that does not fit."""

from __future__ import annotations

import pathlib
import tempfile
import warnings
from typing import Any

import h5py
import numpy as np

from tlkit.errors import WeightsError
from tlkit.tensors import KerasModel

SHOWN = 12  # mismatches that a message lists; further ones are only counted

Table = dict[str, list[np.ndarray]]


def load_weights(model: KerasModel, path: str | pathlib.Path) -> int:
    """Loads a `.weights.h5`, a legacy `.h5` or a `.keras` file into `model`.

    The file may hold more than the model, such as the original top or a whole
    fine-tuned model around the backbone, but must hold all of the model.

    Args:
        model: A functional Keras model.
        path: Weights file.

    Returns:
        The number of arrays read.

    Raises:
        WeightsError: if the file is missing or unreadable, or shapes differ;
            the message lists each weight that does not fit.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise WeightsError("no such weights file", where=str(path))
    if path.suffix == ".keras":
        return _assign(model, _from_keras_file(path), path)
    if path.suffix != ".h5":
        raise WeightsError(
            f"expected .weights.h5, .h5 or .keras, found {path.suffix!r}", where=str(path)
        )
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _assign(model, _from_legacy(group), path)
            found = _arrays(file)
    except OSError as error:
        raise WeightsError(f"is not an HDF5 file: {error}", where=str(path)) from None
    return _load_native(model, path, found)


def _load_native(model: KerasModel, path: pathlib.Path, found: dict[str, tuple[int, ...]]) -> int:
    """Loads a Keras 3 `.weights.h5`, whose keys number the layers of each class."""
    try:
        with warnings.catch_warnings():
            # Keras warns about layers that the file has no weights for, and leaves them unchanged
            warnings.simplefilter("error")
            model.load_weights(path)
        return len(model.weights)
    except (ValueError, KeyError, UserWarning):
        _refuse_native(model, path, found)
    model.load_weights(path)
    return len(model.weights)


def _refuse_native(
    model: KerasModel, path: pathlib.Path, found: dict[str, tuple[int, ...]]
) -> None:
    """Raises an error that names each weight of a Keras 3 file that does not fit."""
    with tempfile.TemporaryDirectory() as folder:
        own = pathlib.Path(folder) / "own.weights.h5"
        model.save_weights(own)
        with h5py.File(own, "r") as file:
            expected = _arrays(file)
    rows = [
        f"{key}: the file has {found.get(key, 'nothing')}, {model.name} has {shape}"
        for key, shape in expected.items()
        if found.get(key) != shape
    ]
    _refuse(rows, len(expected), model, path)


def _arrays(group: h5py.Group) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name] = tuple(item.shape)

    group.visititems(visit)
    return shapes


def _from_legacy(group: h5py.Group) -> Table:
    """Layer name -> arrays in order; weight names distinguish the layers of a nested model."""
    table: Table = {}
    for layer in group.attrs["layer_names"]:
        inner = group[_text(layer)]
        for name in inner.attrs["weight_names"]:
            parts = _text(name).split("/")
            owner = parts[-2] if len(parts) > 1 else _text(layer)
            table.setdefault(owner, []).append(np.asarray(inner[_text(name)]))
    return table


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _from_keras_file(path: pathlib.Path) -> Table:
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many types for a damaged or foreign file
        raise WeightsError(f"cannot be loaded by Keras: {error}", where=str(path)) from None
    return {layer.name: [np.asarray(weight) for weight in layer.weights] for layer in leaves(model)}


def leaves(model: KerasModel) -> list[Any]:
    """The layers with weights in order, including those inside nested models."""
    found: list[Any] = []
    for layer in model.layers:
        if getattr(layer, "layers", None):
            found.extend(leaves(layer))
        elif layer.weights:
            found.append(layer)
    return found


def _assign(model: KerasModel, table: Table, path: pathlib.Path) -> int:
    layers = leaves(model)
    by_name = sum(layer.name in table for layer in layers)
    if by_name < len(layers) / 2:  # unnamed layers get other numbers in each process
        given: list[Any] = [*table.values()][: len(layers)]
        pairs = list(zip(layers, [*given, *[[]] * (len(layers) - len(given))], strict=True))
    else:
        pairs = [(layer, table.get(layer.name, [])) for layer in layers]
    rows, count = [], 0
    for layer, arrays in pairs:
        for index, variable in enumerate(layer.weights):
            shape = tuple(arrays[index].shape) if index < len(arrays) else "nothing"
            count += 1
            if shape != tuple(variable.shape):
                rows.append(
                    f"{layer.name}/{variable.name}: the file has {shape}, {model.name} has "
                    f"{tuple(variable.shape)}"
                )
    _refuse(rows, count, model, path)
    for layer, arrays in pairs:
        layer.set_weights(list(arrays[: len(layer.weights)]))
    return count


def _refuse(rows: list[str], total: int, model: KerasModel, path: pathlib.Path) -> None:
    if rows:
        listed = "".join(f"\n    {row}" for row in rows[:SHOWN])
        more = f"\n    ... and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        raise WeightsError(
            f"does not fit {model.name}: {len(rows)} of {total} weights differ{listed}{more}",
            where=str(path),
            hint="\nIs it of another backbone, or made with other model.arguments (alpha ...)?",
        )
