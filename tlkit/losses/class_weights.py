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

    Raises:
        ValueError: unless the counts are numbers from 0, one a class, with an image in all.
    """
    counts = _checked(counts)
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
        ValueError: if `beta` is outside [0, 1), or as of `inverse_frequency`.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta!r}")
    counts = np.maximum(_checked(counts), 1)
    # 1 - beta^n, exact for beta near 1
    numbers = -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)
    weights = (1 - beta) / numbers
    return (weights * len(counts) / weights.sum()).astype("float32")


def _checked(counts: Any) -> np.ndarray:
    numbers = np.asarray(counts, "float64")
    if numbers.ndim != 1 or not (numbers >= 0).all() or not 0 < numbers.sum() < np.inf:
        raise ValueError(f"counts must be images of each class, (K,), got {numbers.tolist()}")
    return numbers
