"""Labels that a network disagrees with, and images that are unlike all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tlkit.features.probe import held_out_logits
from tlkit.finding import Finding
from tlkit.tasks.base import Task

MOST_FEATURES = 256  # principal components that are used; more only cost time
NEIGHBOURS = 10
FAR = 6.0  # robust deviations beyond which an image is an outlier


def principal(features: np.ndarray, most: int = MOST_FEATURES) -> np.ndarray:
    """Features projected onto their first principal axes."""
    centred = features - features.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ vectors[:, ::-1][:, : min(most, len(features) - 1)])


def outliers(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each image from its nearest neighbours, in robust deviations, and the outliers.

    The distance is the mean cosine distance (1 - cosine) to ten neighbours; the deviation is the
    median absolute deviation of its logarithm.
    """
    unit = features - features.mean(0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    count = min(NEIGHBOURS, len(unit) - 1)
    distance = np.empty(len(unit))
    for start in range(0, len(unit), 1024):
        near = unit[start : start + 1024] @ unit.T
        near[np.arange(len(near)), np.arange(start, start + len(near))] = -2.0
        distance[start : start + 1024] = 1 - np.partition(near, -count, axis=1)[:, -count:].mean(1)
    level = np.log(np.maximum(distance, 1e-9))
    middle = np.median(level)
    spread = 1.4826 * np.median(np.abs(level - middle)) or 1.0
    score = (level - middle) / spread
    return score, score > FAR


@dataclasses.dataclass(frozen=True)
class Doubt:
    """How well the label of one image fits.

    Attributes:
        image: Name of the image.
        label: Label as given.
        guess: Most likely other label.
        margin: Probability of the label minus that of the guess, in [-1, 1].
    """

    image: str
    label: str
    guess: str
    margin: float


def judge(
    task: Task, features: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> tuple[list[Finding], list[Doubt]]:
    """Suspect labels and outliers as findings, and all images, the most doubtful first.

    Args:
        task: Task of the labels.
        features: Features `(images, features)`.
        labels: Labels of the images.
        names: Names of the images.
    """
    findings, doubts = [], []
    captions = task.captions(labels)
    try:
        own, kept = task.among(labels)
    except ValueError:  # too few images of some class
        found = None
    else:
        logits, _ = held_out_logits(own, principal(features), kept)
        found = own.doubts(logits, kept)
    if found is not None:
        for i in found.order:
            label, other = found.given[i], found.guess[i]
            doubts.append(Doubt(names[i], label, other, round(float(found.margin[i]), 4)))
            if found.suspect[i]:
                text = f"{names[i]} is labelled {label}, looks like {other}"
                findings.append(Finding("label", "warning", text, (names[i],), -doubts[-1].margin))
    score, far = outliers(features)
    for i in np.argsort(-score, kind="stable"):
        if far[i]:
            text = f"{names[i]} ({captions[i]}) is like no other image"
            findings.append(Finding("outlier", "note", text, (names[i],), float(score[i])))
    return findings, doubts
