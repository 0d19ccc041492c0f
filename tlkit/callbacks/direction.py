"""Tells from the name of a metric whether larger values are better."""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["min", "max"]

LARGER = frozenset(
    [
        "accuracy",
        "acc",
        "auc",
        "auroc",
        "auprc",
        "prauc",
        "aucpr",
        "roc",
        "precision",
        "recall",
        "sensitivity",
        "specificity",
        "f1",
        "f2",
        "fbeta",
        "fscore",
        "map",
        "ap",
        "iou",
        "miou",
        "dice",
        "jaccard",
        "r2",
        "kappa",
        "mcc",
        "correlation",
        "similarity",
        "psnr",
        "ssim",
        "bleu",
        "rouge",
        "explained",
    ]
)
SMALLER = frozenset(
    [
        "loss",
        "losses",
        "error",
        "errors",
        "err",
        "mae",
        "mse",
        "rmse",
        "mape",
        "msle",
        "crossentropy",
        "entropy",
        "hinge",
        "poisson",
        "logcosh",
        "divergence",
        "kl",
        "nll",
        "perplexity",
        "brier",
        "ece",
        "calibration",
        "distance",
        "deviation",
        "wer",
        "cer",
        "fpr",
        "fnr",
    ]
)


def direction_of(monitor: str) -> Direction | None:
    """Returns `max` for accuracies, AUC and the like, `min` for losses and errors, else None.

    Args:
        monitor: Name as in the logs: `val_loss`, `val_top_5_accuracy`, `val_auc_1`, `valMeanIoU`.
    """
    words = _words(monitor)
    larger, smaller = (any(word in group for word in words) for group in (LARGER, SMALLER))
    if larger and smaller:
        # the last word says what the others are of: a dice loss is a loss
        return "min" if words[-1] == "loss" else None
    if "positives" in words or "negatives" in words:
        return "max" if "true" in words else "min" if "false" in words else None
    return "max" if larger else "min" if smaller else None


def _words(monitor: str) -> list[str]:
    """Lower-case words, without the numbers that Keras appends; `f1` and `r2` are words."""
    split = re.sub(r"([a-z0-9])([A-Z][a-z])", r"\1_\2", monitor.removeprefix("val_"))
    split = split.lower().replace("io_u", "iou")  # as Keras names MeanIoU
    words = []
    for part in re.split(r"[^A-Za-z0-9]+", split):
        word = part.lower()
        if word not in LARGER | SMALLER:
            word = word.strip("0123456789")
        if word:
            words.append(word)
    return words
