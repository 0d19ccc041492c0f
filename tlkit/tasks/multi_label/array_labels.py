"""In-memory label sets: rows of 0 and 1, or lists of names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.data.sources.folder import class_name
from tlkit.errors import DataError, some_of


def sets_in(parts: Sequence[tuple[np.ndarray, str]]) -> bool:
    """Whether labels are sets: lists of names, or rows of 0 and 1 that are not all one-hot.

    Args:
        parts: Labels of each split, and the location that error messages name.
    """
    arrays = [labels for labels, _ in parts]
    if any(_are_lists(labels) for labels in arrays):
        return True
    return all(_are_flags(labels) for labels in arrays) and any(
        (labels.sum(axis=1) != 1).any() for labels in arrays
    )


def _are_lists(labels: np.ndarray) -> bool:
    return labels.dtype == object and any(
        isinstance(label, list | tuple | set | frozenset | np.ndarray) for label in labels.flat
    )


def _are_flags(labels: np.ndarray) -> bool:
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "uifb":
        return False
    return bool(((labels == 0) | (labels == 1)).all())


def set_texts(
    parts: Sequence[tuple[np.ndarray, str]], named: Sequence[str] | None, known: Sequence[str]
) -> tuple[list[list[tuple[str, ...]]], list[str] | None]:
    """The label names of each image of each split, and all labels in order if that is known.

    Args:
        parts: Labels of each split, and the location that error messages name.
        named: Names of the labels, if the data give them.
        known: Labels of the model to evaluate.

    Raises:
        DataError: if they are of different kinds or widths, or a name is unknown.
    """
    if any(_are_lists(labels) for labels, _ in parts):
        texts = [[_names(own, where) for own in labels] for labels, where in parts]
        unknown = {name for rows in texts for own in rows for name in own} - set(named or ())
        if named and unknown:
            raise DataError(
                f"labels that are not a class: {some_of(sorted(unknown))}", where="data"
            )
        return texts, None if named is None else list(named)
    widths = sorted({labels.shape[1] for labels, _ in parts})
    order = list(named or known)
    if len(widths) > 1 or (order and widths != [len(order)]):
        there = f", and there are {len(order)} classes" if order else ""
        raise DataError(
            f"rows of labels have {some_of([*map(str, widths)])} columns{there}", where="data"
        )
    order = order or [str(k) for k in range(widths[0])]
    texts = [
        [tuple(order[k] for k in np.flatnonzero(row)) for row in labels] for labels, _ in parts
    ]
    return texts, None if known else order


def _names(own: object, where: str) -> tuple[str, ...]:
    """The distinct labels of one image, sorted by name."""
    if not isinstance(own, list | tuple | set | frozenset | np.ndarray) or not all(
        isinstance(name, str | bytes) for name in own
    ):
        raise DataError(
            f"the labels of an image are {own!r}; expected a list of names.",
            where=where,
            hint="Or hand over rows of 0 and 1, one column a label.",
        )
    names = {class_name(name.decode() if isinstance(name, bytes) else name) for name in own}
    if "" in names:
        raise DataError("a label is empty text", where=where)
    return tuple(sorted(names))
