"""The recipe's regularizers on the variables of a stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tlkit import registry
from tlkit.errors import UserError
from tlkit.recipe.schema import Component
from tlkit.regularizers.apply import choose
from tlkit.regularizers.units import unit_axes
from tlkit.tensors import KerasVariable, Tensor

# these select where a regularizer applies, not how
PLACES = ("include", "exclude")


@dataclasses.dataclass
class Regularization:
    """What the regularizers of a stage have set.

    Attributes:
        mixed: Weights that are replaced in the training step, and their replacements.
        variables: Variables of the regularizers, trained with the weights.
        seeds: States of their random generators.
        take_off: Restores the model.
    """

    mixed: list[tuple[Any, Callable[[Any], Any]]]
    variables: list[KerasVariable]
    seeds: list[KerasVariable]
    take_off: Callable[[], None]


def needs_start(items: Sequence[Component]) -> bool:
    """Whether any regularizer needs the pretrained weights."""
    return any("start" in registry.REGULARIZERS[item.name].given for item in items)


def regularize_stage(
    items: Sequence[Component],
    trainable: list[KerasVariable],
    start: dict[str, np.ndarray],
    seed: int,
    layer_of: Mapping[str, Any],
) -> Regularization:
    """Sets penalties and constraints on the trained variables.

    Keras adds the penalty of a variable's `regularizer` to the model's losses, and its
    optimizers apply a variable's `constraint`, however the layer was built.

    Args:
        items: The recipe's `regularize`.
        trainable: Trained variables of the stage.
        start: Pretrained values by path; a variable without one is new.
        seed: Seed of the run.
        layer_of: Layer of each variable, by its path, as returned by `owners`.

    Raises:
        UserError: if a regularizer matches no variable, or constrains one that has a constraint
            already.
    """
    done = Regularization([], [], [], lambda: None)
    before = [(v, v.regularizer, v.constraint) for v in trainable]
    penalties: dict[str, list[Any]] = {}
    for index, item in enumerate(items):
        entry = registry.REGULARIZERS[item.name]
        acts = entry.facts.acts
        chosen = choose(trainable, item.arguments["include"], item.arguments["exclude"])
        if acts == "weights":
            chosen = [v for v in chosen if v.path in start]
        if not chosen:
            if acts == "weights" and trainable:
                continue  # a stage that trains only the new head has no pretrained weights
            names = ", ".join(v.path for v in trainable[:4])
            raise UserError(
                f"{item.name} is left without a variable; they are named like {names}",
                where=f"regularize[{index}].{item.name}",
            )
        arguments = {k: v for k, v in item.arguments.items() if k not in PLACES}
        shared = entry.call({}, **arguments) if acts == "joint" else None
        if shared is not None:
            done.variables += shared.variables
        for number, v in enumerate(chosen):
            context = {"start": start.get(v.path), "unit_axes": unit_axes(layer_of.get(v.path), v)}
            if acts == "weights":
                mix = registry.REGULARIZERS.make(
                    item.name, context, **arguments, seed=seed + number
                )
                done.mixed.append((v, mix))
                done.seeds.append(mix.generator.state)
                continue
            made = shared or registry.REGULARIZERS.make(item.name, context, **arguments)
            if acts == "constraint":
                if v.constraint is not None:
                    raise UserError(
                        f"{v.path} has a constraint already; exclude it",
                        where=f"regularize[{index}].{item.name}",
                    )
                v.constraint = made
            else:
                penalties.setdefault(v.path, []).append(made)
    for v in trainable:
        parts = penalties.get(v.path, [])
        if parts:
            v.regularizer = parts[0] if len(parts) == 1 else _sum_of(parts)

    def take_off() -> None:
        for v, regularizer, constraint in before:
            v.regularizer, v.constraint = regularizer, constraint

    done.take_off = take_off
    return done


def _sum_of(parts: list[Any]) -> Tensor:
    """Combines several penalties on one variable."""

    class Sum(keras.regularizers.Regularizer):
        def __call__(self, weight: Tensor) -> Any:
            return sum(part(weight) for part in parts)

    return Sum()
