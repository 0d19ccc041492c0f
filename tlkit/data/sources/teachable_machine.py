"""Teachable Machine's project file, once unpacked."""

from __future__ import annotations

from tlkit.data.labelled import Labelled, as_records, root_of
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

MARK = "-!-"  # between a class and the number of its sample


@register("teachable_machine")
def teachable_machine(*, path: str) -> SourceData:
    """Samples of a project of Teachable Machine (`.tm`, a zip) as `CLASS-!-0.jpg` side by side.

    Where the archive holds class folders, the source is `folder`.

    Args:
        path: The project.

    Raises:
        DataError: if there are no such samples.
    """
    root = root_of(None, expanded(path))
    samples = [name for name in Tree.of(root).pictures if MARK in name]
    if not samples:
        raise DataError(f"holds no samples named CLASS{MARK}NUMBER", where=str(root))
    rows = (
        Labelled(name, (name.rpartition("/")[2].partition(MARK)[0],), None, str(root / name))
        for name in samples
    )
    return as_records(rows, root, str(root))
