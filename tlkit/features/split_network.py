"""Cuts a network where its trained part begins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras

from tlkit.freeze import FreezePlan
from tlkit.surgery.walk import nodes_of
from tlkit.tensors import KerasLayer, KerasModel


@dataclasses.dataclass(frozen=True)
class Cut:
    """A network in two parts, which together are exactly the network.

    Attributes:
        frozen: Model from the network's input to the tensors at the cut.
        trained: Model from those tensors to the network's output.
        shapes: Shapes of one image's tensors at the cut.
    """

    frozen: Any
    trained: Any
    shapes: list[tuple[int, ...]]

    def bytes_per_image(self) -> int:
        """Size of the tensors at the cut, as float32."""
        return 4 * sum(math.prod(shape) for shape in self.shapes)


def flatten_model(model: KerasModel) -> KerasModel:
    """The same network with the layers of nested models inlined; layers are shared."""

    def call(layer: KerasLayer, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Model):
            # `call` adds the nodes of the model's layers instead of a single node of its own
            return layer.call(*args)
        return layer(*args, **kwargs)

    while any(isinstance(layer, keras.Model) for layer in model.layers):
        model = keras.models.clone_model(
            model, clone_function=lambda layer: layer, call_function=call
        )
    return model


def outputs_of(model: KerasModel, wanted: Callable[[Any], bool]) -> list[Any]:
    """Outputs of chosen layers in a flat model, in order from the input."""
    return [x for node in nodes_of(model) if wanted(node.operation) for x in node.outputs]


def find_cut(model: KerasModel, plan: FreezePlan) -> Cut | None:
    """Cuts a network at the deepest place before which nothing trains and nothing is random.

    Args:
        model: Functional Keras model with one input; nested models are allowed.
        plan: What trains in it, and which layers run in inference mode.

    Returns:
        The cut; None if something trains or is random from the start, or if nothing with
        weights comes before the cut.
    """
    trainable, frozen = set(plan.trainable), set(plan.frozen_layers)
    flat = flatten_model(model)
    moving: set[int] = set()  # outputs that change from step to step
    crossing: dict[int, Any] = {}
    below = False
    for node in nodes_of(flat):
        operation = node.operation
        if isinstance(operation, keras.layers.InputLayer):
            continue
        inputs = node.input_tensors
        active = _is_active(operation, trainable, frozen)
        if active or any(id(tensor) in moving for tensor in inputs):
            moving.update(id(tensor) for tensor in node.outputs)
            crossing.update((id(x), x) for x in inputs if id(x) not in moving)
        elif getattr(operation, "weights", None):
            below = True
    if not below or id(flat.output) not in moving:
        return None
    tensors = list(crossing.values())
    return Cut(
        keras.Model(flat.input, tensors),
        keras.Model(tensors, flat.output),
        [tuple(tensor.shape[1:]) for tensor in tensors],
    )


def whole(model: KerasModel) -> Cut:
    """A cut after the whole network, for use without training."""
    flat = flatten_model(model)
    return Cut(flat, None, [tuple(tensor.shape[1:]) for tensor in flat.outputs])


def _is_active(operation: Any, trainable: set[str], frozen: set[str]) -> bool:
    """Whether a layer trains, or is random during training."""
    if not isinstance(operation, keras.layers.Layer):
        return False
    if any(v.path in trainable for v in operation.variables):
        return True
    random = any("seed_generator" in v.path for v in operation.variables)
    return random and operation.name not in frozen
