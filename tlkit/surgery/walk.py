"""Runs a network operation by operation, so that a layer can be changed before it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tlkit.tensors import KerasModel


def walk(
    model: KerasModel,
    batches: Sequence[Any],
    before: Callable[[Any, list[Any]], None] | None = None,
    after: Callable[[Any, list[Any]], None] | None = None,
) -> list[Any]:
    """Runs a model in inference mode over all batches, one layer after another.

    Every layer processes all batches before the next layer runs, so changes that
    `before` makes to a layer affect the inputs of later layers. A tensor is released
    when the last layer that uses it has run.

    Args:
        model: Functional or sequential Keras model; nested models are processed too.
        batches: Batches of images, as the model takes them; lists of tensors for several inputs.
        before: Function called with a layer and its inputs, one for each batch.
        after: Function called with a layer and its outputs, one for each batch.

    Returns:
        The outputs, one for each batch; a list per batch if the model has several outputs.
    """
    if isinstance(model, keras.Sequential):
        model = model._functional
    values: list[dict[int, Any]] = [
        {id(tensor): value for tensor, value in zip(model.inputs, _as_list(batch), strict=True)}
        for batch in batches
    ]
    nodes = nodes_of(model)
    users = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    users.update(id(tensor) for tensor in model.outputs)
    for node in nodes:
        if node.is_input:
            continue
        layer = node.operation
        nested = isinstance(layer, keras.Model)
        if before is not None and not nested:
            before(layer, [known[id(node.input_tensors[0])] for known in values])
        if nested:
            given = [[known[id(tensor)] for tensor in node.input_tensors] for known in values]
            results = walk(layer, given, before, after)
        else:
            results = [_run(node, known) for known in values]
        if after is not None and not nested:
            after(layer, results)
        for known, result in zip(values, results, strict=True):
            for tensor, value in zip(node.outputs, _as_list(result), strict=True):
                known[id(tensor)] = value
        for tensor in node.input_tensors:
            users[id(tensor)] -= 1
            if not users[id(tensor)]:
                for known in values:
                    known.pop(id(tensor), None)
    outputs = [[known[id(tensor)] for tensor in model.outputs] for known in values]
    return [found[0] if len(found) == 1 else found for found in outputs]


def _run(node: Any, known: dict[int, Any]) -> Any:
    args, kwargs = node.arguments.fill_in(known)
    if getattr(node.operation, "_call_has_training_arg", False):
        kwargs["training"] = False
    return node.operation(*args, **kwargs)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def nodes_of(model: KerasModel) -> list[Any]:
    """Returns the layer calls inside a flat model, from the input on."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth]]
