"""Adds regularisers to the weights of a model that was built without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import keras

from tlkit.regularizers.spared import is_spared
from tlkit.tensors import KerasModel


def choose(variables: Iterable[Any], include: list[str], exclude: list[str]) -> list[Any]:
    """Selects the variables that a regulariser applies to.

    Args:
        variables: Variables of a built model.
        include: Regular expressions for variable paths; if there are any, only variables
            that match one are chosen, including biases and norm scales.
        exclude: Regular expressions for the paths of variables to leave out.

    Returns:
        The chosen variables; by default all weight matrices, as `is_spared` defines them.
    """
    chosen = []
    for v in variables:
        wanted = (
            any(re.search(pattern, v.path) for pattern in include) if include else not is_spared(v)
        )
        if wanted and not any(re.search(pattern, v.path) for pattern in exclude):
            chosen.append(v)
    return chosen


def regularize(
    model: KerasModel,
    regularizer: Any,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> Callable[[], None]:
    """Makes a built or loaded Keras model train with a regulariser.

    The penalty is added to the loss by Keras in `fit`, and also in tlkit's loop.

    Args:
        model: Any built Keras model; its configuration is not changed.
        regularizer: A Keras regulariser for all chosen weights, or a function that
            takes a variable and returns its regulariser.
        include: Regular expressions for variable paths; see `choose`.
        exclude: Regular expressions for the paths of variables to leave out.

    Returns:
        A function that removes the regularisers again.

    Raises:
        ValueError: if no variable is chosen.
    """
    chosen = choose(model.trainable_variables, list(include), list(exclude))
    if not chosen:
        names = ", ".join(v.path for v in model.trainable_variables[:4])
        raise ValueError(f"include and exclude leave no weight; they are named like {names}")
    before = [(v, v.regularizer) for v in chosen]
    for v in chosen:
        ready = isinstance(regularizer, keras.regularizers.Regularizer)
        v.regularizer = regularizer if ready else regularizer(v)

    def take_off() -> None:
        for variable, old in before:
            variable.regularizer = old

    return take_off
