"""In-memory labels that are numbers: one per image, or a row of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlkit.errors import DataError


def numbers_in(parts: Sequence[tuple[np.ndarray, str]], known: Sequence[str]) -> bool:
    """Whether labels are regression targets: floats, neither whole numbers nor class shares.

    Args:
        parts: Labels of each split, and the location that error messages name.
        known: Outputs of the model to evaluate.
    """
    arrays = [labels for labels, _ in parts]
    if not all(labels.dtype.kind == "f" and labels.ndim in (1, 2) for labels in arrays):
        return False
    if any(_are_shares(labels) for labels in arrays):
        return False
    alone = len(known) == 1 and all(labels.size == len(labels) for labels in arrays)
    return alone or any((labels != np.floor(labels)).any() for labels in arrays)


def _are_shares(labels: np.ndarray) -> bool:
    """Whether rows are one-hot, or shares of classes that sum to 1."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        return False
    inside = bool((labels >= 0).all() and (labels <= 1).all())
    return inside and bool(np.allclose(labels.sum(axis=1), 1, atol=1e-4))


def number_texts(
    parts: Sequence[tuple[np.ndarray, str]], names: Sequence[str] | None
) -> tuple[list[list[tuple[str, ...]]], tuple[str, ...]]:
    """The numbers of each image of each split as texts, and their names.

    Args:
        parts: Labels of each split, and the location that error messages name.
        names: Names of the numbers, if the data or a model give them.

    Raises:
        DataError: if splits have different numbers of columns, or the number of names differs.
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
