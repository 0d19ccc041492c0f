"""Weights that make rare classes count."""

from __future__ import annotations

from typing import Any

import numpy as np


def inverse_frequency(counts: Any) -> np.ndarray:
    """n / (K n_k), whose mean over the images is 1.

    Args:
        counts: Training images of each class, `(K,)`.

    Returns:
        float32 `(K,)`; a class without images gets the weight of one with a single image.
    """
    counts = np.asarray(counts, "float64")
    return (counts.sum() / (len(counts) * np.maximum(counts, 1))).astype("float32")


def effective_number(counts: Any, beta: float = 0.999) -> np.ndarray:
    """(1 - beta) / (1 - beta^n_k), scaled so that the weights add up to K.

    The effective number of n images is (1 - beta^n) / (1 - beta): near n while n
    is small, bounded by 1 / (1 - beta). (Cui et al. 2019, "Class-Balanced Loss
    Based on Effective Number of Samples", equations 2 and 3, and section 4.)

    Args:
        counts: Training images of each class, `(K,)`.
        beta: In [0, 1); 0 weighs all classes alike, 1 would be inverse frequency.

    Returns:
        float32 `(K,)`.

    Raises:
        ValueError: if `beta` is outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta!r}")
    counts = np.maximum(np.asarray(counts, "float64"), 1)
    weights = (1 - beta) / (1 - beta**counts)
    return (weights * len(counts) / weights.sum()).astype("float32")
