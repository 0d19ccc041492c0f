"""Arrays that lie on disk, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Rows:
    """Rows of several arrays as one array of float32, read when they are asked for.

    Args:
        parts: Arrays `(rows, ...)`, alike but for their number of rows; memory-mapped ones stay
            on disk.
        part: For each row of the whole, the index of the array it is in.
        row: For each row of the whole, its place there.
    """

    def __init__(self, parts: Sequence[np.ndarray], part: np.ndarray, row: np.ndarray):
        self.parts, self.part, self.row = parts, part, row
        self.shape = (len(part), *parts[0].shape[1:])
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        part, row = self.part[chosen], self.row[chosen]
        found = np.empty((len(part), *self.shape[1:]), np.float32)
        for index in np.unique(part):
            here = part == index
            found[here] = self.parts[index][row[here]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[np.arange(len(self))].astype(dtype or np.float32, copy=False)
