"""How many images each class has, and in which splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tlkit.data.record import Record
from tlkit.errors import some_of
from tlkit.finding import Finding, Level
from tlkit.tasks.classification.labels import IMBALANCED

LISTED = 20  # most classes that a message names
FEW = 10  # below this number of images, a class can hardly be learned or measured
VERY_IMBALANCED = 10.0  # largest class over smallest, for a warning; IMBALANCED is for a note


def class_findings(records: Sequence[Record], splits: Sequence[str]) -> Iterator[Finding]:
    """Findings about the class sizes.

    Args:
        records: Records of the valid images.
        splits: Splits of the same images.
    """
    several = [r for r in records if r.labels is not None and len(set(r.labels)) > 1]
    if several:
        names = tuple(record.name for record in several)
        text = f"{len(several)} images have several labels: {some_of(names, LISTED)}"
        yield Finding("labels", "error", text, names, hint="If that is meant: task: multi-label")
    none = tuple(r.name for r in records if r.labels is not None and not r.labels)
    if none:
        text = f"{len(none)} images have no class: {some_of(none, LISTED)}"
        yield Finding("labels", "error", text, none)
    labels = [r.label for r in records]
    counts = Counter(label for label in labels if label)
    if not counts:
        return
    (most, largest), (least, smallest) = counts.most_common()[0], counts.most_common()[-1]
    ratio = largest / smallest
    if ratio > IMBALANCED:
        level: Level = "warning" if ratio > VERY_IMBALANCED else "note"
        text = (
            f"{most!r} has {largest} images, {least!r} {smallest}, {ratio:.1f} times fewer; try "
            "class_weight: balanced, and look at balanced accuracy"
        )
        yield Finding("imbalance", level, text)
    few = [f"{label} {count}" for label, count in counts.items() if count < FEW]
    if few:
        text = f"fewer than {FEW} images of {len(few)} classes: {some_of(few, LISTED)}"
        yield Finding("few_images", "warning", text)
    for split in sorted(set(splits)):
        here = {label for label, place in zip(labels, splits, strict=True) if place == split}
        missing = [label for label in counts if label not in here]
        if missing:
            text = f"{split} has no image of: {some_of(missing, LISTED)}"
            yield Finding("missing_from_split", "error" if split == "train" else "warning", text)
    folded = Counter(label.casefold().strip() for label in counts)
    alike = [name for name, count in folded.items() if count > 1]
    if alike:
        spelt = defaultdict(list)
        for label in counts:
            spelt[label.casefold().strip()].append(label)
        for same in (spelt[name] for name in alike):
            text = f"classes that differ only in case or spaces: {', '.join(map(repr, same))}"
            yield Finding("classes_alike", "warning", text)
