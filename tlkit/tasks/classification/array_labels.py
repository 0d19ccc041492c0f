"""In-memory labels as class names: whole numbers, names, or one-hot rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlkit.data.sources.folder import class_name
from tlkit.errors import DataError, some_of


def checked_names(classes: Any) -> list[str] | None:
    """The given class names, or None.

    Raises:
        DataError: if two are identical.
    """
    if classes is None:
        return None
    names = [class_name(str(name)) for name in classes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"class {twice[0]!r} is named twice", where="data['classes']")
    return names


def class_names(
    parts: Sequence[tuple[np.ndarray, str]], named: list[str] | None, known: Sequence[str]
) -> tuple[list[list[str]], list[str] | None]:
    """The class name of each image of each split, and the classes in order if that is known.

    Args:
        parts: Labels of each split, and the location that error messages name.
        named: Names of the classes, if the data give them.
        known: Classes of the model to evaluate.

    Raises:
        DataError: if the labels are invalid, or not of these classes.
    """
    kinds = {_kind_of(labels, where) for labels, where in parts}
    if len(kinds) > 1:
        raise DataError(
            f"labels are of different kinds: {' and '.join(sorted(kinds))}", where="data"
        )
    (kind,) = kinds
    if kind == "names":
        texts = [[_text(label, where) for label in labels] for labels, where in parts]
        unknown = {name for names in texts for name in names} - set(named or ())
        if named and unknown:
            raise DataError(
                f"labels that are not a class: {some_of(sorted(unknown))}", where="data"
            )
        return texts, named
    ids = [
        labels.argmax(axis=1) if kind == "one-hot rows" else labels.reshape(-1)
        for labels, _ in parts
    ]
    order = named or list(known)
    if kind == "one-hot rows":
        widths = sorted({labels.shape[1] for labels, _ in parts})
        if len(widths) > 1 or (order and widths != [len(order)]):
            there = f", and there are {len(order)} classes" if order else ""
            raise DataError(
                f"one-hot labels have {some_of([*map(str, widths)])} columns{there}", where="data"
            )
        named = named or (None if known else [str(k) for k in range(widths[0])])
        order = order or named or []
    elif not named and all(str(label) in known for part in ids for label in np.unique(part)):
        order = []  # the model was trained on these numbers as class names
    return [_named(part, order) for part in ids], named


def _named(ids: np.ndarray, order: Sequence[str]) -> list[str]:
    """Class names for class ids."""
    if not order:
        return [str(int(label)) for label in ids]
    if ids.max() >= len(order):
        raise DataError(
            f"label {ids.max()} is not a class: there are {len(order)}, from 0 ({some_of(order, 5)})",
            where="data",
        )
    return [order[int(label)] for label in ids]


def _kind_of(labels: np.ndarray, where: str) -> str:
    """`names`, `whole numbers` or `one-hot rows`.

    Raises:
        DataError: if they are of no such kind.
    """
    hint = "Labels are whole numbers from 0, names, or one-hot rows."
    if labels.dtype.kind in "US" or (
        labels.dtype.kind == "O" and all(isinstance(label, str | bytes) for label in labels.flat)
    ):
        if labels.ndim != 1:
            raise DataError(f"labels are of shape {labels.shape}.", where=where, hint=hint)
        return "names"
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.dtype.kind in "uifb":
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError(
                "rows of labels are not one-hot: each has one 1 and zeros; several classes an image, "
                "and shares of classes, are not trained.",
                where=where,
                hint=hint,
            )
        return "one-hot rows"
    if labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] != 1):
        raise DataError(f"labels are of shape {labels.shape}.", where=where, hint=hint)
    if labels.dtype.kind not in "ui":
        raise DataError(
            f"labels are {labels.dtype}.", where=where, hint=f"{hint} Use labels.astype(int)."
        )
    if labels.min() < 0:
        raise DataError(f"label {labels.min()} is below 0.", where=where, hint=hint)
    return "whole numbers"


def _text(label: str | bytes, where: str) -> str:
    """The name of a class."""
    try:
        text = label.decode() if isinstance(label, bytes) else str(label)
    except UnicodeDecodeError:
        raise DataError(f"label {label!r} is not UTF-8", where=where) from None
    if not (name := class_name(text)):
        raise DataError("a label is empty text", where=where)
    return name
