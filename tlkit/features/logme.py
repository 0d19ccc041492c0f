"""How well features explain labels, without training: LogME."""

from __future__ import annotations

import numpy as np

ITERATIONS = 50
CLOSE = 1e-4


def log_me(features: np.ndarray, targets: np.ndarray) -> float:
    """The logarithm of maximum evidence, per image, averaged over the outputs.

    Each output's column y, one-hot for classes, is modelled as F w + noise, with
    w ~ N(0, 1 / alpha) and noise ~ N(0, 1 / beta); the evidence p(y | F, alpha, beta) is
    maximised over alpha and beta by MacKay's fixed point. Larger is better. (You et al. 2021,
    "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", equation 2 and
    algorithm 1.)

    Args:
        features: Features, `(images, features)`.
        targets: Targets, `(images, outputs)`; columns that are equal for all images are left out.

    Raises:
        ValueError: if all images have the same targets.
    """
    columns = [column for column in np.asarray(targets, "float64").T if np.ptp(column)]
    if not columns:
        raise ValueError("LogME needs two classes or more, or numbers that differ")
    x = np.asarray(features, "float64")
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    return float(np.mean([_evidence(x.shape, u, s**2, column) for column in columns]))


def _evidence(shape: tuple[int, ...], u: np.ndarray, sigma: np.ndarray, y: np.ndarray) -> float:
    """Log evidence of one output, per image; `sigma` are the eigenvalues of F^T F."""
    n, d = shape
    inside = (u.T @ y) ** 2  # squared projections of y on the directions of the features
    outside = max(float(y @ y - inside.sum()), 0.0)
    alpha = beta = 1.0
    for _ in range(ITERATIONS):
        ratio = alpha / beta
        gamma = float((sigma / (sigma + ratio)).sum())
        length = float((sigma * inside / (sigma + ratio) ** 2).sum())  # of the mean of w, squared
        error = float((inside * (ratio / (sigma + ratio)) ** 2).sum()) + outside
        alpha, beta = gamma / max(length, 1e-12), (n - gamma) / max(error, 1e-12)
        if abs(alpha / beta - ratio) < CLOSE * ratio:
            break
    ratio = alpha / beta
    length = float((sigma * inside / (sigma + ratio) ** 2).sum())
    error = float((inside * (ratio / (sigma + ratio)) ** 2).sum()) + outside
    # log |alpha + beta F^T F|, whose other d - len(sigma) eigenvalues are alpha
    determinant = float(np.log(alpha + beta * sigma).sum()) + (d - len(sigma)) * np.log(alpha)
    total = (
        n * np.log(beta)
        + d * np.log(alpha)
        - n * np.log(2 * np.pi)
        - beta * error
        - alpha * length
        - determinant
    ) / 2
    return float(total / n)
