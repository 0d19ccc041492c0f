"""Teachable Machine's project file, after unpacking."""

from __future__ import annotations

from tlkit.data.labelled import LabelledRow, as_records, root_of
from tlkit.data.record import SourceData
from tlkit.data.tree import Tree
from tlkit.errors import DataError
from tlkit.paths import expanded
from tlkit.registry import register

MARK = "-!-"  # between a class and the number of its sample


@register("teachable_machine")
def teachable_machine(*, path: str) -> SourceData:
    """Samples of a Teachable Machine project (`.tm`, a zip), named `CLASS-!-0.jpg` in one folder.

    If the archive contains class folders, use the source `folder`.

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
        LabelledRow(name, (name.rpartition("/")[2].partition(MARK)[0],), None, str(root / name))
        for name in samples
    )
    return as_records(rows, root, str(root))
