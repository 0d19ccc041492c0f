"""A learning rate of its own for each variable, under one optimizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def with_multipliers(optimizer: Any, multipliers: Mapping[str, float]) -> Any:
    """Scales the learning rate of the variables whose path matches a pattern.

    Wraps the two methods of a Keras optimizer that use the learning rate, so
    everything else works as before: `learning_rate` is one number that
    schedules and callbacks read and set, gradients are clipped and accumulated
    before, slots are saved and restored, decay is scaled with the rate. The
    update of variable i is the optimizer's own at `learning_rate * m_i`; with
    m = 0 the variable does not move. (Howard and Ruder 2018, "Universal
    Language Model Fine-tuning", section 3.2, discriminative fine-tuning.)

    Args:
        optimizer: A Keras optimizer, before or after it is built; changed in place.
        multipliers: Regular expression, searched in `variable.path`, -> factor;
            the factors of all that match are multiplied.

    Returns:
        The same optimizer.

    Raises:
        ValueError: for a negative factor, or if the optimizer has multipliers already.
    """
    if hasattr(optimizer, "rate_multipliers"):
        raise ValueError("this optimizer has rate multipliers already")
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    for pattern, factor in multipliers.items():
        if factor < 0:
            raise ValueError(f"a rate multiplier is 0 or more; got {factor} for {pattern!r}")
    patterns = [(re.compile(pattern), factor) for pattern, factor in multipliers.items()]
    factors: dict[str, float] = {}

    def factor_of(variable: Any) -> float:
        path = str(getattr(variable, "path", None) or variable.name)
        if path not in factors:
            result = 1.0
            for pattern, factor in patterns:
                if pattern.search(path):
                    result *= factor
            factors[path] = result
        return factors[path]

    update_step, decay = inner.update_step, inner._apply_weight_decay
    paths: dict[Any, Any] = {}

    def scaled_update_step(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        # the backend hands over its own tensor; its Keras variable knows the path
        factor = factor_of(paths.get(inner._var_key(variable), variable))
        if factor == 0.0:
            return None
        scaled = learning_rate if factor == 1.0 else learning_rate * factor
        return update_step(gradient, variable, scaled)

    def scaled_decay(variables: Any) -> Any:
        if inner.weight_decay is None:
            return
        groups: dict[float, list[Any]] = {}
        for variable in variables:
            known = paths.get(inner._var_key(variable), variable)
            groups.setdefault(factor_of(known), []).append(variable)
        whole = inner.weight_decay
        try:
            for factor, group in groups.items():
                inner.weight_decay = whole * factor
                decay(group)
        finally:
            inner.weight_decay = whole

    build = inner.build

    def remembering_build(variables: Any) -> Any:
        build(variables)
        remember(variables)

    def remember(variables: Any) -> None:
        for variable in variables:
            paths[inner._var_key(variable)] = variable

    inner.update_step = scaled_update_step
    inner._apply_weight_decay = scaled_decay
    inner.build = remembering_build
    if inner.built:
        remember(inner._trainable_variables)
    optimizer.rate_multipliers = dict(multipliers)
    return optimizer
