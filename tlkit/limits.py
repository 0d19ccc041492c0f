"""Allowed numbers and names of arguments: words for annotations, and checks for constructors.

Annotations of registered arguments use these words, and recipes are checked against
them. Constructors that users call in plain Keras check the same with `number`,
`whole` and `one_of`. All limits are inclusive: at each of them a thing still builds,
trains and returns finite numbers in float32.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

import annotated_types


def within(low: float, high: float) -> annotated_types.Interval:
    """From `low` to `high`, both included."""
    return annotated_types.Interval(ge=low, le=high)


# marks beside a type, interpreted by tlkit.registry: `low <= high` for a pair
odd, rising = "odd", "rising"
several = annotated_types.MinLen(2)

Share = Annotated[float, within(0, 1)]
# fraction that is dropped or smoothed away: the rest is divided by what is left
Fraction = Annotated[float, within(0, 0.999)]
Positive = Annotated[float, within(1e-6, 1e6)]
NonNegative = Annotated[float, within(0, 1e6)]
Count = Annotated[int, within(1, 1_000_000)]
Epochs = Annotated[float, within(0, 100_000)]
# of an optimizer's averages: in float32, 1 - 0.99999999 is 0, and Adam divides by it
Momentum = Annotated[float, within(0, 0.9999)]
# squared or to the power of -3/2, it is still representable in float32
Epsilon = Annotated[float, within(1e-16, 1)]
# above 1, the learning rate would rise
Decay = Annotated[float, within(1e-6, 0.9999)]
Strength = Annotated[float, within(0, 100)]
# fraction of a full circle, in either direction
Turn = Annotated[float, within(-1, 1)]
# steps in pixel values from 0 to 255, or in features
Levels = Annotated[float, within(1e-3, 255)]
LearningRate = float  # above 0, or `auto`
LOWEST_RATE, HIGHEST_RATE = 1e-10, 100.0
# a registered name, or, for a loss, a name with its arguments
Activation = str
Initializer = str
Loss = Any

_WORDS = {
    "LearningRate": f"number from {LOWEST_RATE:g} to {HIGHEST_RATE:g}, or auto",
    "Activation": "name of an activation",
    "Initializer": "name of an initializer",
    "Loss": "loss, as under finetune.loss",
    "bool": "true or false",
    "float": "number",
    "int": "whole number",
    "str": "text",
    "None": "nothing",
}


def describe(annotation: str) -> str:
    """An annotation in words for recipe authors, such as `whole number from 1 to 8`."""
    return _describe(ast.parse(annotation, mode="eval").body)


def _describe(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return f"{_describe(node.left)} or {_describe(node.right)}"
    if not isinstance(node, ast.Subscript):
        text = ast.unparse(node)
        kind = globals().get(text)
        if text in _WORDS or get_origin(kind) is not Annotated:
            return _WORDS.get(text, text)
        base, (interval, *_) = get_args(kind)[0], get_args(kind)[1:]
        return f"{_WORDS[base.__name__]} from {interval.ge:g} to {interval.le:g}"
    outer = ast.unparse(node.value)
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return " or ".join(str(ast.literal_eval(part)) for part in parts)
    if outer == "Annotated":
        text = _describe(parts[0])
        for mark in parts[1:]:
            if isinstance(mark, ast.Call):  # within(low, high)
                low, high = (ast.literal_eval(limit) for limit in mark.args)
                text += f" from {low:g} to {high:g}"
            elif ast.unparse(mark) == "odd":
                text = f"odd {text}"
            elif ast.unparse(mark) == "rising":
                text += ", the lower first"
        return text
    if outer == "tuple":
        return "two of: " + _describe(parts[0])
    return "list of: " + _describe(parts[0])


def number(
    name: str,
    value: Any,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Checks a constructor's argument that must be a finite number.

    Args:
        name: Argument name.
        value: Value given; NumPy numbers are accepted too.
        least: Smallest allowed value.
        most: Largest allowed value.
        above: It must be larger than this.
        below: It must be smaller than this.

    Raises:
        ValueError: with the value given and what is allowed.
    """
    given = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            given = float(value)
    if not (math.isfinite(given) and least <= given <= most and above < given < below):
        kind = _range("a finite number", least, most, above, below)
        raise ValueError(f"{name} must be {kind}, got {value!r}")
    return given


def whole(
    name: str, value: Any, *, least: int = 1, most: int = 2**31 - 1, odd: bool = False
) -> int:
    """Checks a constructor's argument that must be a whole number.

    Args:
        name: Argument name.
        value: Value given.
        least: Smallest allowed value.
        most: Largest allowed value.
        odd: Whether it must be odd.

    Raises:
        ValueError: with the value given and what is allowed.
    """
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integral or not least <= value <= most or (odd and value % 2 == 0):
        kind = "an odd whole number" if odd else "a whole number"
        raise ValueError(f"{name} must be {kind} from {least} to {most}, got {value!r}")
    return int(value)


def one_of(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Checks a constructor's argument that must be one of several names.

    Raises:
        ValueError: with the value given and what is allowed.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """Checks a constructor's argument that must be True or False.

    Raises:
        ValueError: with the value given.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


def _range(
    kind: str, least: float, most: float, above: float = -math.inf, below: float = math.inf
) -> str:
    parts = [
        f"{sign} {limit:g}"
        for sign, limit in ((">=", least), (">", above), ("<=", most), ("<", below))
        if math.isfinite(limit)
    ]
    return f"{kind} {' and '.join(parts)}".rstrip()


# Rules between the arguments of one thing, named in its registration. The recipe check and the
# thing itself call them with all its arguments; a rule uses those it is about.


def rising_boundaries(boundaries: Sequence[float], factors: Sequence[float], **_: Any) -> None:
    """There are as many factors as boundaries, and the boundaries rise."""
    for name, values in (("boundaries", boundaries), ("factors", factors)):
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise ValueError(f"{name} must be a list of numbers, got {values!r}")
        for value in values:
            number(name, value, least=0)
    if len(boundaries) != len(factors) or not boundaries:
        raise ValueError(
            f"needs as many factors as boundaries, at least one; got {len(boundaries)} boundaries "
            f"and {len(factors)} factors"
        )
    if any(second <= first for first, second in itertools.pairwise(boundaries)):
        raise ValueError(f"boundaries must rise, got {list(boundaries)}")


def lower_to_upper(lower: float, upper: float, **_: Any) -> None:
    """A range from lower to upper."""
    if lower > upper:
        raise ValueError(f"needs lower <= upper, got lower={lower!r}, upper={upper!r}")


def restarts_belong_together(
    restart_epochs: float, restart_growth: float, restart_factor: float, **_: Any
) -> None:
    """Restarts need a length before they can have a growth."""
    if not restart_epochs and (restart_growth != 2.0 or restart_factor != 1.0):
        raise ValueError("restart_growth and restart_factor need restart_epochs above 0")


def kernel_has_a_direction(
    initializer: str, drop_connect: float, spectral_normalization: bool, **_: Any
) -> None:
    """A kernel of zeros has no largest singular value to divide by."""
    if spectral_normalization and (initializer == "zeros" or drop_connect):
        raise ValueError(
            "spectral_normalization cannot be had with initializer: zeros or with drop_connect; "
            "use initializer: xavier"
        )


def hidden_layer_learns(initializer: str, **_: Any) -> None:
    """A hidden layer of zeros has no gradient."""
    if initializer == "zeros":
        raise ValueError("initializer: zeros in a hidden layer never learns; use xavier or he")
