"""Identical images that are labelled differently, if an image has a row of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tlkit.finding import Finding


def odd_copies(labels: np.ndarray, hashes: Sequence[str], what: str) -> list[Finding]:
    """Finds identical images with different rows of labels.

    Args:
        labels: Labels, `(n, outputs)`.
        hashes: SHA-256 of the images.
        what: What differs, such as `numbers`.
    """
    unlike = {(digest, tuple(row)) for digest, row in zip(hashes, labels.tolist(), strict=True)}
    twice = sum(count > 1 for count in Counter(digest for digest, _ in unlike).values())
    if not twice:
        return []
    text = f"{twice} pictures are there more than once, with different {what}"
    return [Finding("copies", "warning", text, hint="See: tlkit check")]
