"""Labels that a network would not give, and images that are like no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tlkit.finding import Finding
from tlkit.features.probe import held_out_logits
from tlkit.tasks.classification.metrics import softmax

MOST_FEATURES = 256  # principal components that are used; more only cost time
NEIGHBOURS = 10
MOST_CELLS = 1 << 22  # probabilities in memory at once
FAR = 6.0  # robust deviations from which an image is an outlier


@dataclasses.dataclass
class LabelNoise:
    """Confident learning over a set of labels.

    Attributes:
        order: Positions of all images, the most doubtful label first.
        margin: Of each image, probability of its label less that of the likeliest other.
        suspect: Whether its label is counted as wrong.
        guess: Class that it would rather be, as a class id.
    """

    order: np.ndarray
    margin: np.ndarray
    suspect: np.ndarray
    guess: np.ndarray


def label_noise(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> LabelNoise:
    """Finds labels that are probably wrong.

    Linear heads say of images that they were not solved on how probable each class is. A
    label is suspect where another class is at least as probable as it is for its own images on
    average, and more so than the label's own. (Northcutt et al. 2021, "Confident Learning",
    equations 1 to 3; ranked by the normalised margin of section 3.2.)

    Args:
        features: `(images, features)`.
        labels: Class ids `(images,)`.
        seed: Of the folds.

    Raises:
        ValueError: if a class has fewer than two images.
    """
    logits, ids, _ = held_out_logits(principal(features), labels, seed)
    known = np.unique(labels)
    # by parts, as of thousands of classes the probabilities of all images would fill the memory
    parts = np.array_split(np.arange(len(ids)), -(-logits.size // MOST_CELLS))
    own = np.concatenate(
        [_probabilities(logits[part])[np.arange(len(part)), ids[part]] for part in parts]
    )
    thresholds = np.bincount(ids, own, len(known)) / np.bincount(ids, minlength=len(known))
    margin, suspect, guess = np.empty(len(ids)), np.empty(len(ids), bool), np.empty(len(ids), int)
    for part in parts:
        p, rows = _probabilities(logits[part]), np.arange(len(part))
        confident = np.where(p >= thresholds, p, 0.0)
        best = confident.argmax(1)
        suspect[part] = (confident[rows, best] > 0) & (best != ids[part])
        p[rows, ids[part]] = -1.0
        guess[part] = p.argmax(1)
        margin[part] = own[part] - p[rows, guess[part]]
    return LabelNoise(np.argsort(margin, kind="stable"), margin, suspect, known[guess])


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return np.asarray(softmax(logits)).astype("float64")


def principal(features: np.ndarray, most: int = MOST_FEATURES) -> np.ndarray:
    """Features turned to their principal axes, the first of them."""
    centred = features - features.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, ::-1][:, : min(most, len(features) - 1)]


def outliers(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each image is from its nearest others, in robust deviations, and who is too far.

    Distance is that of directions, 1 - cosine, the mean to ten neighbours; the deviation is the
    median's, of the logarithm.
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
    """How well one image's label fits it.

    Attributes:
        image: Its name.
        label: As given.
        guess: The likeliest other.
        margin: Probability of the label less that of the guess, in [-1, 1].
    """

    image: str
    label: str
    guess: str
    margin: float


def judge(
    features: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: Sequence[str]
) -> tuple[list[Finding], list[Doubt]]:
    """Suspect labels and outliers as findings, and all images in the order of doubt.

    Args:
        features: `(images, features)`.
        labels: Class ids `(images,)`.
        names: Of the images.
        classes: Names of the class ids.
    """
    findings, doubts = [], []
    if np.bincount(labels)[np.unique(labels)].min() >= 2:
        found = label_noise(features, labels)
        for i in found.order:
            own, other = classes[labels[i]], classes[found.guess[i]]
            doubts.append(Doubt(names[i], own, other, round(float(found.margin[i]), 4)))
            if found.suspect[i]:
                text = f"{names[i]} is labelled {own}, looks like {other}"
                findings.append(Finding("label", "warning", text, (names[i],), -doubts[-1].margin))
    score, far = outliers(features)
    for i in np.argsort(-score, kind="stable"):
        if far[i]:
            text = f"{names[i]} ({classes[labels[i]]}) is like no other image"
            findings.append(Finding("outlier", "note", text, (names[i],), float(score[i])))
    return findings, doubts
