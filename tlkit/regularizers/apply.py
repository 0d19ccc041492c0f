"""Puts regularisers on the weights of a model that was built without."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from tlkit.regularizers.spared import is_spared


def choose(variables: Iterable[Any], include: list[str], exclude: list[str]) -> list[Any]:
    """The variables that a regulariser is for.

    Args:
        variables: Of a built model.
        include: Regular expressions on the path; with any, only what matches one
            is chosen, biases and norm scales too.
        exclude: Regular expressions on the path of what is left out.

    Returns:
        By default all that are matrices of weights, as `is_spared` has it.
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
    model: Any,
    regularizer: Any,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> Callable[[], None]:
    """Makes a built or loaded Keras model train with a regulariser.

    Keras adds the penalty to the loss in `fit`, and in tlkit's loop.

    Args:
        model: Any built Keras model; its configuration is not changed.
        regularizer: A Keras regulariser for all chosen weights, or a function
            from a variable to one.
        include: Regular expressions on the variables' paths; see `choose`.
        exclude: Likewise, of those to leave alone.

    Returns:
        A function that takes the regularisers off again.

    Raises:
        ValueError: if no variable is chosen.
    """
    import keras

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
