"""Labels in memory that are numbers: one an image, or a row of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.errors import DataError


def numbers_in(parts: Sequence[tuple[np.ndarray, str]], known: Sequence[str]) -> bool:
    """Whether labels are numbers to learn: floats that are neither whole nor shares of classes.

    Args:
        parts: Labels of each split, and what a message names.
        known: Outputs of a model that is to be measured.
    """
    arrays = [labels for labels, _ in parts]
    if not all(labels.dtype.kind == "f" and labels.ndim in (1, 2) for labels in arrays):
        return False
    if any(_are_shares(labels) for labels in arrays):
        return False
    alone = len(known) == 1 and all(labels.size == len(labels) for labels in arrays)
    return alone or any((labels != np.floor(labels)).any() for labels in arrays)


def _are_shares(labels: np.ndarray) -> bool:
    """Whether rows are one-hot, or shares of classes."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    inside = bool((labels >= 0).all() and (labels <= 1).all())
    return inside and bool(np.allclose(labels.sum(axis=1), 1, atol=1e-4))


def number_texts(
    parts: Sequence[tuple[np.ndarray, str]], names: Sequence[str] | None
) -> tuple[list[list[tuple[str, ...]]], tuple[str, ...]]:
    """The numbers of each image of each split as texts, and what they are called.

    Args:
        parts: Labels of each split, and what a message names.
        names: Of the numbers, where the data or a model say them.

    Raises:
        DataError: if splits have different numbers of them, or there are not as many names.
    """
    rows = [labels.reshape(len(labels), -1) for labels, _ in parts]
    widths = sorted({labels.shape[1] for labels in rows})
    if len(widths) > 1 or (names and len(names) != widths[0]):
        there = f", and there are {len(names)} names" if names else ""
        raise DataError(
            f"labels have {' and '.join(map(str, widths))} numbers{there}", where="data"
        )
    usual = ["value"] if widths[0] == 1 else [f"value_{k}" for k in range(widths[0])]
    texts = [[tuple(repr(float(v)) for v in row) for row in labels] for labels in rows]
    return texts, tuple(names or usual)
