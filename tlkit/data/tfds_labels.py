"""Labels in TensorFlow Datasets: one class, several, or a yes or no for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.errors import DataError

# maps the values of a feature, a row of numbers, to the names that they mean
Meaning = Callable[[Any], tuple[str, ...]]


def find_labels(feature: Any, key: str, where: str) -> tuple[Meaning, list[str] | None]:
    """How to read the values of a label feature, and its classes in order if it names them.

    A class, a sequence of classes, and a tensor with 0 or 1 for each class are read from their
    numbers; a dictionary of yes and no from its values in the order of its names.

    Args:
        feature: Feature in the data set's `info.features`.
        key: Name of the feature.
        where: Name of the data in messages.

    Raises:
        DataError: if it is not a label feature.
    """
    inner = getattr(feature, "feature", feature)  # the element of a Sequence
    names = list(getattr(inner, "names", None) or [])
    if hasattr(feature, "items") and not names:
        names = sorted(feature)
        if all(_is_flag(feature[name]) for name in names):
            return (lambda flags: _at_one(flags, names)), names
        raise _no_labels(feature, key, where)
    shape = tuple(getattr(feature, "shape", ()))
    kind = np.dtype(getattr(inner, "np_dtype", None) or "int64")
    if kind.kind not in "uib":
        raise _no_labels(feature, key, where)
    if inner is feature and len(shape) == 1:
        flagged = names or [str(k) for k in range(shape[0] or 0)]
        if not flagged:
            raise _no_labels(feature, key, where)
        return (lambda flags: _at_one(flags, flagged)), flagged
    return (
        lambda ids: tuple(
            dict.fromkeys(names[int(k)] if names else str(int(k)) for k in np.ravel(ids))
        )
    ), names or None


def _is_flag(feature: Any) -> bool:
    kind = getattr(feature, "np_dtype", None)
    return kind is not None and np.dtype(kind).kind == "b" and not getattr(feature, "shape", None)


def _at_one(flags: Any, names: list[str]) -> tuple[str, ...]:
    return tuple(name for name, flag in zip(names, np.ravel(flags), strict=True) if flag)


def _no_labels(feature: Any, key: str, where: str) -> DataError:
    return DataError(
        f"feature {key!r} is {type(feature).__name__}, not classes: expected a class, a sequence of "
        "classes, or 0 and 1 for each.",
        where=where,
        hint="Name another with label_key.",
    )
