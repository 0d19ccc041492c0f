"""What `tlkit init` prints about classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tlkit.data.named_classes import classes_in_names
from tlkit.data.record import Record
from tlkit.errors import DataError
from tlkit.tasks.base import Outline
from tlkit.tasks.classification.labels import IMBALANCED, refuse_sets

SHOWN = 8  # classes whose counts are listed


def outline(records: Sequence[Record], where: str) -> Outline:
    """Number of images per class, and recipe lines.

    Args:
        records: Records of the data.
        where: Location that error messages name.

    Raises:
        DataError: if there are fewer than two classes, or images with several or none.
    """
    refuse_sets(records)
    counts = Counter(record.label for record in records)
    if len(counts) < 2:
        raise DataError(
            f"has fewer than two classes{''.join(f', only {label!r}' for label in counts)}.",
            where=where,
            hint=classes_in_names(record.name for record in records),
        )
    shown = ", ".join(f"{label} {count}" for label, count in list(counts.items())[:SHOWN])
    more = f", and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    weighted = max(counts.values()) > IMBALANCED * min(counts.values())
    return Outline(
        f"{len(records)} images, {len(counts)} classes ({shown}{more})",
        (),
        (
            "loss: {cross_entropy: {label_smoothing: 0.1}}",
            f"class_weight: {'balanced' if weighted else 'none'}       # "
            f"{'the classes differ much in size' if weighted else 'the classes are of similar size'}",
        ),
    )
