"""Duplicates: the same bytes, the same picture at another size, the same name."""

from __future__ import annotations

import pathlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tlkit.audit.files import FileInfo
from tlkit.errors import some_of
from tlkit.finding import Finding

HASH_SIDE = 8
MOST_BITS = 8  # hash bits, of 63, that may differ for two pictures to be compared
LEAST_CORRELATION = 0.975
MOST_COLOUR = 12.0  # levels by which the mean colours may differ
MOST_CELLS = 1 << 22  # cells of a distance matrix in memory at once
MOST_PAIRS = 1 << 13  # pairs whose thumbnails are compared at once


def duplicate_findings(seen: Sequence[FileInfo], splits: Sequence[str]) -> Iterator[Finding]:
    """Duplicates within and across splits.

    Args:
        seen: Intact files.
        splits: Split of each file.
    """
    same: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(seen):
        same[item.digest].append(index)
    groups = [group for group in same.values() if len(group) > 1]
    for group in groups:
        yield _finding("duplicates", "the same file", seen, splits, group)
    first = [group[0] for group in same.values()]
    for near in near_groups([seen[i] for i in first]):
        same_picture = [first[i] for i in near]
        yield _finding("near_duplicates", "the same picture", seen, splits, same_picture)
    yield from _same_names(seen)


def _finding(
    kind: str, what: str, seen: Sequence[FileInfo], splits: Sequence[str], group: list[int]
) -> Finding:
    names = tuple(seen[i].record.name for i in group)
    labels = sorted({seen[i].record.label for i in group})
    places = sorted({splits[i] for i in group})
    listed = some_of(names, 6)
    if len(labels) > 1:
        text = f"{what} under several labels, {some_of(labels, 4)}: {listed}"
        return Finding(f"{kind}_with_other_label", "error", text, names)
    if len(places) > 1:
        text = f"{what} in {' and '.join(places)}, which flatters the figures: {listed}"
        return Finding(f"{kind}_across_splits", "error", text, names)
    return Finding(kind, "note", f"{what} more than once in {places[0]}: {listed}", names)


def near_groups(seen: Sequence[FileInfo]) -> list[list[int]]:
    """Groups of pictures that differ only in size and compression, directly or through others.

    A perceptual hash finds candidates: the signs of the 63 lowest frequencies of a cosine
    transform relative to their median (Zauner 2010, "Implementation and Benchmarking of Perceptual
    Image Hash Functions", section 3.2.1). Their thumbnails must then match. The frames of a film
    form one group, as each is similar to the next.

    Args:
        seen: Intact files.

    Returns:
        Positions, ascending within each group; groups are ordered by their first.
    """
    usable = np.array([i for i, item in enumerate(seen) if not item.is_blank])
    count = len(usable)
    if count < 2:
        return []
    pictures = np.stack([seen[i].thumbnail for i in usable])
    colours = pictures.mean((1, 2), dtype="float32")
    grey = pictures @ np.array([0.299, 0.587, 0.114], "float32")
    hashes = perceptual_hashes(grey)
    flat = grey.reshape(count, -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    least = hashes.shape[1] - 2 * MOST_BITS
    group = np.arange(count)
    rows = max(1, MOST_CELLS // count)
    for start in range(0, count, rows):
        # for +-1 vectors, the product is agreeing minus differing bits
        near = np.argwhere(hashes[start : start + rows] @ hashes[start:].T >= least) + start
        near = near[near[:, 0] < near[:, 1]]
        for first in range(0, len(near), MOST_PAIRS):
            a, b = near[first : first + MOST_PAIRS].T
            apart = group[a] != group[b]
            a, b = a[apart], b[apart]
            alike = np.einsum("ij,ij->i", flat[a], flat[b]) > LEAST_CORRELATION
            alike &= np.abs(colours[a] - colours[b]).max(1, initial=0) < MOST_COLOUR
            group = _joined(group, a[alike], b[alike])
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted(usable[part].tolist() for part in parts if len(part) > 1)


def _joined(group: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The group of each picture after merging the groups of each pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(a):
        return group
    edges = coo_array((np.ones(len(a)), (group[a], group[b])), (len(group), len(group)))
    _, labels = connected_components(edges, directed=False)
    return np.asarray(labels[group])


def perceptual_hashes(grey: np.ndarray) -> np.ndarray:
    """Signs of low frequencies of grey pictures `(images, 32, 32)`, float32 +-1 `(images, 63)`."""
    from scipy.fft import dctn

    low = dctn(grey, axes=(1, 2), norm="ortho")[:, :HASH_SIDE, :HASH_SIDE]
    low = low.reshape(len(grey), -1)[:, 1:]  # all but the mean
    above = low > np.median(low, axis=1, keepdims=True)
    return np.where(above, 1.0, -1.0).astype("float32")


def _same_names(seen: Sequence[FileInfo]) -> Iterator[Finding]:
    """One file name under two labels: often a picture that was labelled twice."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(seen):
        found[pathlib.PurePath(item.record.name).name].append(index)
    names = [
        name
        for name, group in found.items()
        if len({seen[i].record.label for i in group}) > 1 and not _is_number(name)
    ]
    if names:
        images = tuple(seen[i].record.name for name in names for i in found[name])
        text = f"{len(names)} file names under more than one label: {some_of(names, 6)}"
        yield Finding("same_name_other_label", "note", text, images)


def _is_number(name: str) -> bool:
    """Whether a name is only a number: `0001.jpg` says nothing about its picture."""
    return pathlib.PurePath(name).stem.isdigit()
