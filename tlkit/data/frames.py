"""Detects video frames among images: neighbours that are almost equal."""

from __future__ import annotations

import itertools
import os
import pathlib
import re

import numpy as np
from PIL import Image

from tlkit.data.tree import Tree

PAIRS = 8  # pairs of neighbours that are compared in each folder
FOLDERS = 6
NEAR = 6.0  # largest mean difference of neighbouring frames, in grey levels
RATIO = 3.0  # least factor by which other pairs of the same folder differ more
SIDE = 32
FEWEST = 12  # least number of images in a folder
# `vid0_frame_00001.jpg`, `clip_3-0012.png`, `frame12.jpg`: names that video splitters write
CALLED = re.compile(
    r"(.*[\W_])?(frames?|frm)[\W_]*\d+|(.*[\W_])?(vid|video|clip)[\W_]*\d+[\W_]+\d+", re.IGNORECASE
)


def is_of_frames(tree: Tree) -> bool:
    """Whether the pictures are video frames.

    They are if most are named like frames, or if most folders hold numbered pictures whose
    neighbours are almost equal.
    """
    stems = [os.path.splitext(os.path.basename(name))[0] for name in tree.pictures]
    if 2 * sum(CALLED.fullmatch(stem) is not None for stem in stems) > len(stems):
        return True
    folders: dict[str, list[tuple[str, int, str]]] = {}
    for name in tree.pictures:
        found = re.fullmatch(r"(?:(.*)/)?(.*?)(\d+)\.\w+", name)
        if found:
            folders.setdefault(found[1] or "", []).append((found[2], int(found[3]), name))
    chosen = [rows for rows in folders.values() if len(rows) >= FEWEST][:FOLDERS]
    votes = [_is_sequence(tree.root, sorted(rows)) for rows in chosen]
    return bool(votes) and 2 * sum(votes) > len(votes)


def _is_sequence(root: pathlib.Path, rows: list[tuple[str, int, str]]) -> bool:
    pairs = [
        (one[2], other[2])
        for one, other in itertools.pairwise(rows)
        if one[0] == other[0] and other[1] - one[1] > 0
    ]
    if len(pairs) < FEWEST - 1:
        return False
    near = pairs[:: max(1, len(pairs) // PAIRS)][:PAIRS]
    half = len(rows) // 2
    far = [(one, rows[(index + half) % len(rows)][2]) for index, (one, _) in enumerate(near)]
    try:
        close = float(np.median([_difference(root, *pair) for pair in near]))
        apart = float(np.median([_difference(root, *pair) for pair in far]))
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
    return close <= NEAR and apart >= RATIO * max(close, 0.1)


def _difference(root: pathlib.Path, one: str, other: str) -> float:
    first, second = _small(root / one), _small(root / other)
    return float(np.abs(first - second).mean())


def _small(file: pathlib.Path) -> np.ndarray:
    with Image.open(file) as image:
        image.draft("L", (2 * SIDE, 2 * SIDE))
        return np.asarray(image.convert("L").resize((SIDE, SIDE)), np.float32)
