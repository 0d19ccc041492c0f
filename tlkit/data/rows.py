"""Reads rows of shared or on-disk arrays, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Rows:
    """Rows of several arrays as one array, read on demand.

    Args:
        parts: Arrays `(rows, ...)` that differ only in their number of rows; memory-mapped ones
            stay on disk.
        part: For each row of the whole, the index of its array.
        row: For each row of the whole, its index in that array.
        dtype: Data type of the returned arrays.
    """

    def __init__(
        self,
        parts: Sequence[np.ndarray],
        part: np.ndarray,
        row: np.ndarray,
        dtype: Any = np.float32,
    ):
        self.parts, self.part, self.row, self.dtype = parts, part, row, np.dtype(dtype)
        self.shape = (len(part), *parts[0].shape[1:])
        self.ndim = len(self.shape)

    @classmethod
    def of(cls, array: np.ndarray) -> Rows:
        """All rows of one array."""
        return cls([array], np.zeros(len(array), np.int32), np.arange(len(array)), array.dtype)

    def take(self, chosen: Any) -> Rows:
        """A selection of the rows; nothing is copied."""
        return Rows(self.parts, self.part[chosen], self.row[chosen], self.dtype)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        part, row = self.part[chosen], self.row[chosen]
        if len(self.parts) == 1:
            return np.asarray(self.parts[0][row], self.dtype)
        found = np.empty((len(part), *self.shape[1:]), self.dtype)
        for index in np.unique(part):
            here = part == index
            found[here] = self.parts[index][row[here]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[np.arange(len(self))].astype(dtype or self.dtype, copy=False)
