"""Names of ImageNet's 1000 classes, which the original tops predict."""

from __future__ import annotations

import functools
import pathlib


@functools.cache
def _rows() -> list[tuple[str, str]]:
    """WordNet id and name of each class, in the order of the outputs."""
    text = (pathlib.Path(__file__).parent / "imagenet_classes.txt").read_text("utf-8")
    return [tuple(line.split(" ", 1)) for line in text.splitlines()]  # type: ignore[misc]


def imagenet_classes() -> list[str]:
    """The 1000 names in the order of the outputs."""
    return [name for _, name in _rows()]


def match_class(label: str) -> int | None:
    """The class that a folder name refers to, by its name, its plural or its WordNet id.

    `ants`, `Ant` and `n02219486` are all class 310; None if there is no such class.
    """
    wanted = label.strip().casefold().replace("_", " ")
    index: dict[str, int] = {}
    for number, (identifier, name) in enumerate(_rows()):
        index.setdefault(name.casefold(), number)
        index[identifier] = number
    for form in (wanted, wanted.removesuffix("s"), wanted.removesuffix("es")):
        if form in index:
            return index[form]
    return None
