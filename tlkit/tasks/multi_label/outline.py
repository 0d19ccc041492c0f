"""What `tlkit init` prints about label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tlkit.data.record import Record
from tlkit.errors import DataError
from tlkit.tasks.base import Outline

SHOWN = 8  # labels whose counts are listed


def outline(records: Sequence[Record], where: str) -> Outline:
    """Number of images per label, and recipe lines.

    Args:
        records: Records of the data.
        where: Location that error messages name.

    Raises:
        DataError: if no image has a label.
    """
    counts = Counter(name for record in records for name in set(record.labels or ()))
    if not counts:
        raise DataError("has no labels", where=where)
    shown = ", ".join(f"{label} {count}" for label, count in counts.most_common(SHOWN))
    more = f", and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    each = sum(counts.values()) / len(records)
    empty = sum(not record.labels for record in records)
    without = f", {empty} without any" if empty else ""
    return Outline(
        f"{len(records)} images, {len(counts)} labels, {each:.1f} an image{without} ({shown}{more})",
        ("task: multi-label            # any number of labels an image",),
        (
            "loss: binary_cross_entropy   # asymmetric where an image has few of very many labels",
            "class_weight: none           # balanced: images with and without a label weigh the same",
        ),
    )
