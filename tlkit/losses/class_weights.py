"""Class weights that make rare classes count more."""

from __future__ import annotations

from typing import Any

import numpy as np


def inverse_frequency(counts: Any) -> np.ndarray:
    """Weights n / (K n_k), whose mean over the images is 1.

    Args:
        counts: Number of training images of each class, `(K,)`.

    Returns:
        float32 `(K,)`; a class without images gets the weight of a class with one image.

    Raises:
        ValueError: unless the counts are non-negative numbers, one per class, with at least
            one image in total.
    """
    counts = _checked(counts)
    return np.asarray(counts.sum() / (len(counts) * np.maximum(counts, 1)), np.float32)


def effective_number(counts: Any, beta: float = 0.999) -> np.ndarray:
    """Weights (1 - beta) / (1 - beta^n_k), scaled so that they add up to K.

    The effective number of n images is (1 - beta^n) / (1 - beta): close to n while n
    is small, bounded by 1 / (1 - beta). (Cui et al. 2019, "Class-Balanced Loss
    Based on Effective Number of Samples", equations 2 and 3, and section 4.)

    Args:
        counts: Number of training images of each class, `(K,)`.
        beta: Value in [0, 1); 0 weights all classes equally, 1 would be inverse frequency.

    Returns:
        float32 `(K,)`.

    Raises:
        ValueError: if `beta` is outside [0, 1), or if the counts are not valid for
            `inverse_frequency`.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta!r}")
    counts = np.maximum(_checked(counts), 1)
    # 1 - beta^n, exact for beta near 1
    numbers = -np.expm1(counts * np.log(beta)) if beta else np.ones_like(counts)
    weights = (1 - beta) / numbers
    return np.asarray(weights * len(counts) / weights.sum(), np.float32)


def _checked(counts: Any) -> np.ndarray:
    numbers = np.asarray(counts, "float64")
    if numbers.ndim != 1 or not (numbers >= 0).all() or not 0 < numbers.sum() < np.inf:
        raise ValueError(f"counts must be images of each class, (K,), got {numbers.tolist()}")
    return numbers
